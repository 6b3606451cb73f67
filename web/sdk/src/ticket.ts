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
  /** Where the match is, in games that are matched by latency. */
  readonly region?: string;
  /** LiveKit's address. */
  readonly url: string;
  /** LiveKit token; {@link GameServer.rejoin} fetches a fresh one. */
  readonly token: string;
  readonly identity: string;
  readonly players: readonly MatchedPlayer[];
}

/** Why somebody still waits. */
export interface Explanation {
  /** How far in skill others may be now; absent: any, or skill plays no part. */
  readonly tolerance?: number;
  /** What widens next; absent: nothing more. */
  readonly next_widening?: Widening;
  /** How many other players wait for the same. */
  readonly players_waiting?: number;
  /** How many of them could be met now. */
  readonly players_fitting?: number;
  /** The rule that keeps most of the others away. */
  readonly excluded_by?: Exclusion;
  /** One sentence for people, in English; why it ended, where it has. */
  readonly reason?: string;
}

/** A rule that gives way by and by. */
export interface Widening {
  /** From the moment of the answer. */
  readonly in_ms: number;
  /** The tolerance then; absent: any. For `players`, how many are enough then. */
  readonly tolerance?: number;
  /** `skill`, `latency`, `balance`, `players` or `attributes.NAME`. */
  readonly rule: string;
}

/** How many players a rule keeps away. */
export interface Exclusion {
  /** `skill`, `latency`, `party`, `code` or `attributes.NAME`. */
  readonly rule: string;
  readonly players: number;
}

/** A match was found, and everybody is asked whether they are ready. */
export interface Acceptance {
  /** Until when, by the server's clock. */
  readonly until: string;
  /** The same from the moment of the answer, in milliseconds. */
  readonly in_ms?: number;
  /** How many have accepted. */
  readonly accepted: number;
  readonly players: number;
  /** What this player has answered; `null`: nothing yet. */
  readonly you: boolean | null;
}

/** How a ticket stands, and while it is `queued`, why. */
export interface TicketStatus extends Explanation {
  readonly ticket_id: string;
  readonly status:
    | "queued"
    | "accepting"
    | "placing"
    | "matched"
    | "cancelled"
    | "timed_out"
    | "failed";
  readonly game?: string;
  readonly mode?: string;
  readonly waited_ms: number;
  /** The party that is queued together. */
  readonly party_id?: string;
  /** Whether it is back in the queue, before the others: a match came to nothing. */
  readonly returned?: boolean;
  /** While it is `accepting`. */
  readonly accept?: Acceptance;
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
  /** Told of every answer: at first, whenever something changed, and every few seconds. */
  readonly onStatus?: (status: TicketStatus) => void;
  /**
   * Where the game asks whether everybody is ready: called once for each match that is found, and
   * the waiting goes on meanwhile. `signal` aborts when the question is over without this answer.
   * Without it, every match is accepted.
   */
  readonly accept?: (status: TicketStatus, signal: AbortSignal) => boolean | Promise<boolean>;
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
    const question = new Question(this, options.accept);
    try {
      return await this.#wait(options, question);
    } finally {
      question.end();
    }
  }

  async #wait(options: WaitOptions, question: Question): Promise<Match> {
    let failures = 0;
    let last: TicketStatus | undefined;
    for (;;) {
      options.signal?.throwIfAborted();
      const waitS = nextWait(last);
      const askedAt = performance.now();
      let status: TicketStatus;
      try {
        status = await this.#api.status(this.id, waitS, options.signal);
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
      // Matched without a match: it is over already.
      if (ENDED.includes(status.status) || status.status === "matched") {
        throw new MatchmakingError(status);
      }
      question.follow(status);
      // The server holds the request while nothing changes; one that does not must not be flooded.
      const held = performance.now() - askedAt > (waitS * 1000) / 2;
      const same =
        last?.status === status.status && last.accept?.accepted === status.accept?.accepted;
      await pause(same && !held ? UNHELD_MS : BETWEEN_MS, options.signal);
      last = status;
    }
  }

  /**
   * Answers for the match that was found; {@link waitForMatch} does so by itself. A question that
   * is over is no error: the next status tells what came of it.
   */
  async accept(accept = true): Promise<void> {
    try {
      await this.#api.accept(this.id, accept);
    } catch (error) {
      if (!(error instanceof ApiError && OVER.includes(error.kind))) {
        throw error;
      }
    }
  }

  /**
   * Leaves the queue, with the whole party. A ticket that is gone already is no error.
   *
   * @throws {ApiError} `already-matched`.
   */
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

/** Whether this player is ready, asked once for each match that is found. */
class Question {
  readonly #ticket: Ticket;
  readonly #ask: NonNullable<WaitOptions["accept"]>;
  /** The match's deadline, and what tells that it is over. */
  #asked: { readonly until: string; readonly stop: AbortController } | undefined;
  #error: { readonly cause: unknown } | undefined;

  constructor(ticket: Ticket, ask: WaitOptions["accept"]) {
    this.#ticket = ticket;
    this.#ask = ask ?? (() => true);
  }

  /** @throws what asking, or telling the answer, failed with. */
  follow(status: TicketStatus): void {
    if (this.#error !== undefined) {
      throw this.#error.cause;
    }
    if (status.status !== "accepting") {
      this.end();
      return;
    }
    const until = status.accept?.until ?? "";
    if (this.#asked?.until !== until) {
      this.end();
      const stop = new AbortController();
      this.#asked = { until, stop };
      // After a reload it may have been answered already.
      if (typeof status.accept?.you !== "boolean") {
        void this.#answer(status, stop.signal);
      }
    }
  }

  end(): void {
    this.#asked?.stop.abort();
    this.#asked = undefined;
  }

  async #answer(status: TicketStatus, signal: AbortSignal): Promise<void> {
    try {
      const accept = await this.#ask(status, signal);
      for (let failures = 1; !signal.aborted; failures += 1) {
        try {
          await this.#ticket.accept(accept);
          return;
        } catch (error) {
          const passing = error instanceof ApiError && (error.status === 0 || error.status >= 500);
          if (!passing || failures > MAX_FAILURES) {
            throw error;
          }
          await pause(RETRY_MS, signal);
        }
      }
    } catch (cause) {
      if (!signal.aborted) {
        this.#error = { cause };
      }
    }
  }
}

/** For how many seconds the server may hold the next request. */
function nextWait(last: TicketStatus | undefined): number {
  switch (last?.status) {
    // The first answer is wanted at once: it says why one waits.
    case undefined:
      return 0;
    case "accepting":
      return ACCEPTING_S;
    case "queued": {
      const often = last.waited_ms < OFTEN_UNTIL_MS ? OFTEN_S : WAIT_S;
      const widening = last.next_widening?.in_ms ?? Number.POSITIVE_INFINITY;
      return Math.min(often, Math.max(1, Math.ceil(widening / 1000)));
    }
    default:
      return WAIT_S;
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
const OVER: readonly string[] = ["not-accepting", "already-answered"];
/** Under the 25 s that the server allows, and under proxies' usual 30 s. */
const WAIT_S = 20;
/** How many wait and fit is news while somebody looks; most are matched, or look away, by then. */
const OFTEN_S = 5;
const OFTEN_UNTIL_MS = 60_000;
/** How many have accepted is watched closely. */
const ACCEPTING_S = 2;
const RETRY_MS = 500;
const MAX_FAILURES = 8;
const BETWEEN_MS = 50;
/** A server with too many who wait answers at once. */
const UNHELD_MS = 1000;
