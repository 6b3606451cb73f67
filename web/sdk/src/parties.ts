import { ApiError } from "./http.js";

/** Players who are matched together. */
export interface Party {
  readonly party_id: string;
  /** What others join with. */
  readonly code: string;
  /** The player who queues it. */
  readonly leader: string;
  /** In order of joining. */
  readonly members: readonly PartyMember[];
  /** This player's ticket, while the party is queued or in a match. */
  readonly ticket_id?: string;
  /** What the party is queued for. */
  readonly game?: string;
  readonly mode?: string;
}

/** A member of a party. */
export interface PartyMember {
  readonly player_id: string;
  readonly username: string;
}

/** What parties need of the API. */
export interface PartyApi {
  create(): Promise<Party>;
  join(code: string): Promise<Party>;
  get(partyId: string): Promise<Party>;
  remove(partyId: string, playerId: string): Promise<void>;
}

/** How {@link Parties.watch} watches. */
export interface WatchOptions {
  /** Told of the party at first, and whenever it has changed. */
  readonly onParty: (party: Party) => void;
  /** Stops watching. */
  readonly signal?: AbortSignal;
}

/** Parties: who joins by its code is matched with the others, once the leader queues. */
export class Parties {
  readonly #api: PartyApi;

  constructor(api: PartyApi) {
    this.#api = api;
  }

  /**
   * Makes a party with this player as its leader.
   *
   * @throws {ApiError} `already-in-party`, with the party's id in `problem.party_id`.
   */
  create(): Promise<Party> {
    return this.#api.create();
  }

  /**
   * Joins the party with this code; capitals and small letters are the same.
   *
   * @throws {ApiError} `not-found`, `party-full`, `already-in-party`.
   */
  join(code: string): Promise<Party> {
    return this.#api.join(code.trim().toUpperCase());
  }

  /**
   * A party of which this player is a member.
   *
   * @throws {ApiError} 403 or 404 to those who are not.
   */
  get(partyId: string): Promise<Party> {
    return this.#api.get(partyId);
  }

  /**
   * Takes a member out: the leader anyone, everyone else themselves. A party that is queued leaves
   * the queue. A member who is gone already is no error.
   */
  async remove(partyId: string, playerId: string): Promise<void> {
    try {
      await this.#api.remove(partyId, playerId);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) {
        throw error;
      }
    }
  }

  /**
   * Follows a party until this player is no member any more, or `signal` aborts; then it answers.
   * It asks every two seconds, and goes on over a server that cannot be reached.
   *
   * @throws {ApiError} where this player is not signed in any more.
   */
  async watch(partyId: string, options: WatchOptions): Promise<void> {
    const { signal, onParty } = options;
    let told = "";
    while (!signal?.aborted) {
      try {
        const party = await this.#api.get(partyId);
        const now = JSON.stringify(party);
        if (now !== told && !signal?.aborted) {
          told = now;
          onParty(party);
        }
      } catch (error) {
        if (!(error instanceof ApiError) || error.status === 401) {
          throw error;
        }
        if (error.status === 403 || error.status === 404) {
          return;
        }
      }
      await pause(EVERY_MS, signal);
    }
  }
}

/** Ends early, without an error, when the signal aborts. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted) {
      done();
    }
  });
}

/** Soon enough for a friend who looks at the screen, and for a ticket's heartbeat by far. */
const EVERY_MS = 2000;
