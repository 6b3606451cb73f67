import { ApiError } from "./http.js";

/** A player as the matchmaker names it. */
export interface MatchedPlayer {
  readonly player_id: string;
  readonly username: string;
  readonly team: number | null;
  readonly rating: number | null;
}

/** A match that a player was matched into. Plain data: it may be kept over a reload. */
export interface Match {
  readonly match_id: string;
  readonly game: string;
  readonly room: string;
  /** LiveKit's address. */
  readonly url: string;
  /** LiveKit token; {@link GameServer.rejoin} fetches a fresh one. */
  readonly token: string;
  readonly identity: string;
  readonly players: readonly MatchedPlayer[];
}

/** How a ticket stands. */
export interface TicketStatus {
  readonly ticket_id: string;
  readonly status:
    | "queued"
    | "accepting"
    | "placing"
    | "matched"
    | "cancelled"
    | "timed_out"
    | "failed";
  readonly waited_ms: number;
  readonly tolerance?: number;
  readonly reason?: string;
  readonly match?: Match;
}

/** The ticket ended without a match. */
export class MatchmakingError extends Error {
  override readonly name = "MatchmakingError";
  readonly status: TicketStatus["status"];

  constructor(status: TicketStatus) {
    super(status.reason ?? `the ticket ended as ${status.status}`);
    this.status = status.status;
  }
}

/** What a ticket needs of the API. */
export interface TicketApi {
  status(ticketId: string, waitS: number, signal?: AbortSignal): Promise<TicketStatus>;
  cancel(ticketId: string): Promise<void>;
  accept(ticketId: string, accept: boolean): Promise<void>;
}

/** How {@link Ticket.waitForMatch} waits. */
export interface WaitOptions {
  /** Stops waiting; the ticket stays queued for a while, so `cancel()` it too. */
  readonly signal?: AbortSignal;
  /** Told of every answer. */
  readonly onStatus?: (status: TicketStatus) => void;
  /** Where the game asks for acceptance; accepts by default. */
  readonly accept?: (status: TicketStatus) => Promise<boolean>;
}

/** A place in the queue. */
export class Ticket {
  /** The ticket's id. */
  readonly id: string;
  readonly game: string;
  readonly #api: TicketApi;

  constructor(api: TicketApi, id: string, game: string) {
    this.#api = api;
    this.id = id;
    this.game = game;
  }

  /**
   * Waits until there is a match, by long polling, which is the ticket's heartbeat too.
   *
   * @throws {MatchmakingError} where the ticket ends otherwise; {@link ApiError} where the server
   * refuses, or cannot be reached several times in a row; what `signal` aborts with.
   */
  async waitForMatch(options: WaitOptions = {}): Promise<Match> {
    let failures = 0;
    let accepted = false;
    for (;;) {
      options.signal?.throwIfAborted();
      let status: TicketStatus;
      try {
        status = await this.#api.status(this.id, WAIT_S, options.signal);
        failures = 0;
      } catch (error) {
        failures += 1;
        const passing = error instanceof ApiError && (error.status === 0 || error.status >= 500);
        if (!passing || failures > MAX_FAILURES) {
          throw error;
        }
        await pause(RETRY_MS * failures, options.signal);
        continue;
      }
      options.onStatus?.(status);
      if (status.status === "matched" && status.match !== undefined) {
        return status.match;
      }
      if (status.status === "accepting" && !accepted) {
        accepted = true;
        await this.#api.accept(this.id, (await options.accept?.(status)) ?? true);
      }
      // Matched without a match: it is over already.
      if (ENDED.includes(status.status) || status.status === "matched") {
        throw new MatchmakingError(status);
      }
      // The server holds the request while nothing changes; one that does not must not be flooded.
      await pause(BETWEEN_MS, options.signal);
    }
  }

  /** Leaves the queue. A ticket that is gone already is no error. */
  async cancel(): Promise<void> {
    try {
      await this.#api.cancel(this.id);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) {
        throw error;
      }
    }
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

const ENDED: readonly TicketStatus["status"][] = ["cancelled", "timed_out", "failed"];
/** Under the 25 s that the server allows, and under proxies' usual 30 s. */
const WAIT_S = 20;
const RETRY_MS = 500;
const MAX_FAILURES = 8;
const BETWEEN_MS = 50;
