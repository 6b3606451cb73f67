import { type Account, AccountSession, memoryStore, type SessionStore } from "./account.js";
import { ApiError, type Fetch, type RequestOptions, request } from "./http.js";
import { ModuleCache } from "./module.js";
import { Parties, type Party } from "./parties.js";
import { type JoinOptions, MatchSession, type RoomToken, type SessionApi } from "./session.js";
import { type Match, Ticket, type TicketApi, type TicketStatus } from "./ticket.js";
import { digest, loadClient } from "./wasm.js";

/** How to reach a server. */
export interface GameServerOptions {
  /** The API's address, such as `https://play.example.org`; by default the page's own. */
  readonly url?: string;
  /** Where the player's tokens are kept; by default the tab's `sessionStorage`. */
  readonly storage?: SessionStore;
  readonly fetch?: Fetch;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

/** A game as `GET /games` lists it. */
export interface Game {
  readonly id: string;
  readonly title: string;
  readonly version: string;
  readonly abi: number;
  readonly tick_rate: number;
  readonly players: { readonly min: number; readonly max: number };
  readonly teams: number;
  readonly authority_mode: "full" | "validated" | "observer";
  readonly modes: readonly string[];
  readonly module: { readonly sha256: string; readonly bytes: number; readonly url: string };
  /** For {@link parseManifest}. */
  readonly manifest: unknown;
}

/** What to queue for. */
export interface QueueOptions {
  readonly game: string;
  readonly mode?: string;
  /** A private match with whoever gives the same code. */
  readonly code?: string;
  /** Queues this party, of which this player is the leader: it is matched as a whole. */
  readonly partyId?: string;
  /** What the mode's rules match by: texts, numbers, or lists of texts to choose from. */
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Measured round trips in whole milliseconds, by region; regions that the game lacks are ignored. */
  readonly latencyMs?: Readonly<Record<string, number>>;
  /** Gives up an earlier ticket for the same game instead of being refused because of it. */
  readonly replace?: boolean;
}

/** What a player says of themselves, for the rules of a mode to match by. */
export type AttributeValue = string | number | readonly string[];

/** A player's figures in a game. */
export interface Stats {
  readonly player_id: string;
  readonly username: string;
  readonly game: string;
  readonly rating: number;
  /** By how much the rating may be off, as a standard deviation. */
  readonly rating_uncertainty?: number;
  /** How many matches until the rating is held to be settled. */
  readonly placement_matches_left?: number;
  readonly matches: number;
  readonly wins: number;
  readonly losses: number;
  readonly draws: number;
  readonly best_score: number | null;
  readonly rank: number | null;
}

/** A page of a leaderboard. */
export interface LeaderboardPage {
  readonly game: string;
  readonly entries: readonly {
    readonly rank: number;
    readonly player_id: string;
    readonly username: string;
    readonly score: number;
    readonly at: string;
  }[];
  readonly total: number;
  readonly next_cursor: string | null;
}

/** A GameServer, as one player uses it. */
export class GameServer {
  /** Parties: friends who are matched together. */
  readonly parties: Parties;
  readonly #fetch: Fetch;
  readonly #base: string;
  readonly #session: AccountSession;
  readonly #modules: ModuleCache;
  readonly #rooms: SessionApi;
  /** The games' modules, as they were last listed. */
  #known: ReadonlyMap<string, string> = new Map();

  constructor(options: GameServerOptions = {}) {
    const page = typeof location === "undefined" ? undefined : location.origin;
    const url = options.url ?? page;
    if (url === undefined) {
      throw new TypeError("outside of a page, give the server's address: new GameServer({ url })");
    }
    this.#base = url.replace(/\/+$/, "");
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#session = new AccountSession(
      this.#fetch,
      this.#base,
      options.storage ?? tabStore(),
      options.now ?? Date.now,
    );
    this.#modules = new ModuleCache(this.#fetch, this.#base, digest);
    this.#rooms = { roomToken: (room) => this.roomToken(room), modules: this.#modules };
    const party = (id: string) => `/parties/${encodeURIComponent(id)}`;
    this.parties = new Parties({
      create: () => this.#authorized<Party>("/parties", { method: "POST" }),
      join: (code) => this.#authorized<Party>("/parties/join", { method: "POST", body: { code } }),
      get: (id) => this.#authorized<Party>(party(id)),
      remove: (id, playerId) =>
        this.#authorized(`${party(id)}/members/${encodeURIComponent(playerId)}`, {
          method: "DELETE",
        }),
    });
  }

  /** Who is signed in in this tab. */
  get account(): Account | undefined {
    return this.#session.account;
  }

  /** Plays without an account; {@link register} keeps a guest's results. */
  guest(username?: string): Promise<Account> {
    return this.#session.signIn("/auth/guest", username === undefined ? {} : { username }, false);
  }

  /** Makes an account; a guest who is signed in becomes it. */
  register(username: string, password: string, email?: string): Promise<Account> {
    const body = { username, password, ...(email === undefined ? {} : { email }) };
    return this.#session.signIn("/auth/register", body, true);
  }

  login(username: string, password: string): Promise<Account> {
    return this.#session.signIn("/auth/login", { username, password }, false);
  }

  logout(): Promise<void> {
    return this.#session.signOut();
  }

  /** The games that the server serves. */
  async games(): Promise<Game[]> {
    const answer = await request<{ games: Game[] }>(this.#fetch, this.#base, "/games");
    this.#known = new Map(answer.games.map((game) => [game.id, game.module.sha256]));
    return answer.games;
  }

  /**
   * Loads what a match of this game takes, the client core and the game's module, so that it need
   * not be waited for later; {@link queue} does so by itself for games that {@link games} listed.
   * It never fails: what could not be had now is fetched when the match is joined.
   */
  async preload(game: string): Promise<void> {
    const sha256 = this.#known.get(game);
    await Promise.allSettled([loadClient(), sha256 && this.#modules.get(game, sha256)]);
  }

  /**
   * Queues for a match.
   *
   * @throws {ApiError} `not-found` for an unknown game; `invalid` with the fields that its rules
   * refuse; `already-queued` with an earlier ticket for it, unless `replace`, and where a member of
   * the party has one; `not-the-leader`; `party-changed`; `too-many-requests`.
   */
  async queue(options: QueueOptions): Promise<Ticket> {
    const body = {
      game: options.game,
      mode: options.mode,
      code: options.code,
      party_id: options.partyId,
      attributes: options.attributes,
      latency_ms: options.latencyMs,
    };
    // There is time for it while the match is being found.
    void this.preload(options.game);
    try {
      return await this.#enqueue(body);
    } catch (error) {
      const { ticket_id: earlier, player_id: whose } =
        error instanceof ApiError ? error.problem : ({} as ApiError["problem"]);
      // A member's ticket is the member's to give up.
      const mine = whose === undefined || whose === this.account?.playerId;
      if (!options.replace || typeof earlier !== "string" || !mine) {
        throw error;
      }
      await this.ticket(earlier, options.game).cancel();
      return await this.#enqueue(body);
    }
  }

  /** A ticket by its id, as after a reload. */
  ticket(id: string, game: string): Ticket {
    const api: TicketApi = {
      status: (ticketId, waitS, signal) =>
        this.#authorized<TicketStatus>("/match/status", {
          query: { ticket_id: ticketId, wait: waitS },
          signal,
        }),
      cancel: (ticketId) =>
        this.#authorized(`/match/queue/${encodeURIComponent(ticketId)}`, { method: "DELETE" }),
      accept: (ticketId, accept) =>
        this.#authorized("/match/accept", {
          method: "POST",
          body: { ticket_id: ticketId, accept },
        }),
    };
    return new Ticket(api, id, game);
  }

  /** Joins a match; answers once the authority has said welcome. */
  join(match: Match, options: JoinOptions = {}): Promise<MatchSession> {
    return MatchSession.join(match, { token: match.token, url: match.url }, this.#rooms, options);
  }

  /** Comes back into a match, after a reload for example, with a fresh token. */
  async rejoin(match: Match, options: JoinOptions = {}): Promise<MatchSession> {
    return MatchSession.join(match, await this.roomToken(match.room), this.#rooms, options);
  }

  /** A LiveKit token for a room that this player was matched into. */
  roomToken(room: string): Promise<RoomToken> {
    return this.#authorized<RoomToken>("/auth/token", { query: { room } });
  }

  /** A match as the history has it. */
  match(matchId: string): Promise<Record<string, unknown>> {
    const path = `/matches/${encodeURIComponent(matchId)}`;
    return this.account === undefined
      ? request(this.#fetch, this.#base, path)
      : this.#authorized(path);
  }

  /** A player's figures; `me` by default. */
  stats(game: string, player = "me", mode?: string): Promise<Stats> {
    return this.#authorized(`/stats/${encodeURIComponent(game)}/${encodeURIComponent(player)}`, {
      query: { mode },
    });
  }

  /** A page of a game's leaderboard. */
  leaderboard(
    game: string,
    query: {
      readonly board?: string;
      readonly season?: string;
      readonly limit?: number;
      readonly cursor?: string;
      /** A player's id, or `me`. */
      readonly around?: string;
    } = {},
  ): Promise<LeaderboardPage> {
    const path = `/leaderboard/${encodeURIComponent(game)}`;
    return this.account === undefined
      ? request(this.#fetch, this.#base, path, { query })
      : this.#authorized(path, { query });
  }

  async #enqueue(body: { readonly game: string }): Promise<Ticket> {
    const answer = await this.#authorized<{ ticket_id: string }>("/match/queue", {
      method: "POST",
      body,
    });
    return this.ticket(answer.ticket_id, body.game);
  }

  #authorized<T>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.#session.authorized<T>(path, options);
  }
}

/** Storage may be forbidden altogether, and then already naming it throws. */
function tabStore(): SessionStore {
  try {
    return globalThis.sessionStorage ?? memoryStore();
  } catch {
    return memoryStore();
  }
}
