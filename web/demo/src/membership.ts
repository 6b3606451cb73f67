import { ApiError, type GameServer, type Party } from "@gameserver/sdk";
import { describe } from "./describe.js";
import { PartyBox } from "./party.js";

/** The party of this tab's player: joined, watched, left, and come back to after a reload. */
export class Membership {
  readonly box: PartyBox;
  readonly #client: GameServer;
  readonly #signIn: () => Promise<boolean>;
  readonly #changed: () => void;
  readonly #queued: (ticketId: string, game: string) => void;
  #party: Party | undefined;
  #watch = new AbortController();

  constructor(options: {
    readonly client: GameServer;
    /** Signs the player in by the name in the menu; whether there is one. */
    readonly signIn: () => Promise<boolean>;
    /** Told of who is in the party. */
    readonly changed: () => void;
    /** Told that the leader has queued, with this player's ticket. */
    readonly queued: (ticketId: string, game: string) => void;
  }) {
    const { client } = options;
    this.#client = client;
    this.#signIn = options.signIn;
    this.#changed = options.changed;
    this.#queued = options.queued;
    this.box = new PartyBox({
      create: () => this.#enter(() => client.parties.create()),
      join: (code) => this.#enter(() => client.parties.join(code)),
      leave: () => this.#try(() => this.#remove(this.#me)),
      remove: (playerId) => this.#try(() => this.#remove(playerId)),
    });
  }

  get party(): Party | undefined {
    return this.#party;
  }

  /** Whether this player starts the party's matches; also where there is no party. */
  get leads(): boolean {
    return this.#party === undefined || this.#party.leader === this.#me;
  }

  /** The other members' names. */
  get others(): string[] {
    const members = this.#party?.members ?? [];
    return members.filter((m) => m.player_id !== this.#me).map((m) => m.username);
  }

  /** Comes back to the party that this tab remembers. */
  async resume(): Promise<void> {
    const id = sessionStorage.getItem(PARTY_KEY);
    if (id === null || this.#me === "") {
      return;
    }
    try {
      this.#set(await this.#client.parties.get(id));
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
        this.#set(undefined);
      }
    }
  }

  /** This ticket is being waited with. */
  follow(ticketId: string): void {
    sessionStorage.setItem(TICKET_KEY, ticketId);
  }

  /** The player is another one from now on. */
  forget(): void {
    this.#set(undefined);
  }

  get #me(): string {
    return this.#client.account?.playerId ?? "";
  }

  #enter(act: () => Promise<Party>): Promise<void> {
    return this.#try(async () => {
      if (!(await this.#signIn())) {
        return;
      }
      try {
        this.#set(await act());
      } catch (error) {
        const there = error instanceof ApiError && error.kind === "already-in-party";
        const id = there ? error.problem.party_id : undefined;
        if (typeof id !== "string") {
          throw error;
        }
        // Another visit's party: it shows who is in it, and how to leave.
        this.#set(await this.#client.parties.get(id));
        throw error;
      }
    });
  }

  async #remove(playerId: string): Promise<void> {
    const party = this.#party;
    if (party === undefined) {
      return;
    }
    await this.#client.parties.remove(party.party_id, playerId);
    if (playerId === this.#me) {
      this.#set(undefined);
    } else {
      this.#set(await this.#client.parties.get(party.party_id));
    }
  }

  async #try(act: () => Promise<void>): Promise<void> {
    this.box.say("");
    try {
      await act();
    } catch (error) {
      const unknown = error instanceof ApiError && UNKNOWN.includes(error.kind);
      this.box.say(unknown ? "There is no party with this code." : describe(error));
    }
  }

  #set(party: Party | undefined): void {
    const before = this.#party?.party_id;
    this.#party = party;
    if (party?.party_id !== before) {
      this.#watch.abort();
      this.#watch = new AbortController();
      if (party === undefined) {
        sessionStorage.removeItem(PARTY_KEY);
      } else {
        sessionStorage.setItem(PARTY_KEY, party.party_id);
        void this.#follow(party.party_id, this.#watch.signal);
      }
    }
    this.box.update(party, this.#me);
    this.#changed();
  }

  async #follow(id: string, signal: AbortSignal): Promise<void> {
    const onParty = (party: Party) => {
      this.#set(party);
      const { ticket_id: ticket, game } = party;
      // What became of the ticket that was last waited with is known, also after a reload.
      const known = sessionStorage.getItem(TICKET_KEY);
      if (ticket !== undefined && game !== undefined && ticket !== known) {
        this.#queued(ticket, game);
      }
    };
    // It fails where nobody is signed in any more: then there is no party either.
    await this.#client.parties.watch(id, { onParty, signal }).catch(() => {});
    if (!signal.aborted) {
      this.#set(undefined);
      this.box.say("You are not in the party any more.");
    }
  }
}

/** A code that is none, or one that nobody has. */
const UNKNOWN: readonly string[] = ["not-found", "invalid"];
const PARTY_KEY = "gameserver.party";
const TICKET_KEY = "gameserver.ticket";
