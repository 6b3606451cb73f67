import { DisconnectReason, Room, RoomEvent } from "livekit-client";
import type { FieldInput, GameEvent } from "./codec.js";
import {
  AUTHORITY,
  type ChatLine,
  type Counters,
  type InputSource,
  MatchCore,
  type MatchPlayer,
  type MatchResult,
  type Transmit,
} from "./core.js";
import { Emitter } from "./emitter.js";
import { ApiError } from "./http.js";
import type { Manifest } from "./manifest.js";
import type { Match } from "./ticket.js";
import { startTimer, type Timer } from "./timer.js";
import type { Entity, World } from "./world.js";

/** What `GET /auth/token` answers, as far as a session needs it. */
export interface RoomToken {
  readonly url: string;
  readonly token: string;
}

/** How to join. */
export interface JoinOptions {
  /** Gives up joining. */
  readonly signal?: AbortSignal;
}

/** How the connection is. */
export type SessionStatus = "connecting" | "connected" | "reconnecting" | "closed";

/** Why a session ended. */
export type CloseReason =
  /** `leave()` or `close()` was called. */
  | "left"
  /** The same player joined elsewhere. */
  | "elsewhere"
  /** The authority or an operator removed this player. */
  | "removed"
  /** The room is closed or this player may not join it. */
  | "over"
  /** The server could not be reached again. */
  | "lost";

/** What a session tells. */
export interface SessionEvents {
  status: SessionStatus;
  closed: CloseReason;
  /** The authority said what the match is; again after each reconnect. */
  welcome: undefined;
  started: { readonly tick: number };
  player: MatchPlayer;
  /** An event of the game. */
  event: GameEvent;
  /** The end; again with `stored` once the result is in the store. */
  result: MatchResult;
  refused: { readonly what: string; readonly reason: string };
  chat: ChatLine;
}

/** How the line is, for a corner of the screen. */
export interface SessionStats {
  /** Round trip to the authority in ms; `undefined` until measured. */
  readonly roundTripMs: number | undefined;
  /** How early inputs arrive before their tick, in ticks. */
  readonly marginTicks: number | undefined;
  /** The newest tick of which there is state. */
  readonly tick: number;
  /** Milliseconds since the last state; `undefined` before the first. */
  readonly packetAgeMs: number | undefined;
  readonly counters: Readonly<Counters>;
}

/** One match over LiveKit: sends inputs each tick, answers the entities to draw. */
export class MatchSession extends Emitter<SessionEvents> {
  /** The match that was joined. */
  readonly match: Match;
  readonly #core = new MatchCore();
  readonly #fetchToken: (room: string) => Promise<RoomToken>;
  #room: Room | undefined;
  #timer: Timer | undefined;
  #status: SessionStatus = "connecting";
  #closed: CloseReason | undefined;
  #connectedAt = 0;
  /** Lossy packets that the connection has taken and not let go; each connection has its own. */
  #lossy = { inFlight: 0 };
  #reconnecting = false;

  private constructor(match: Match, fetchToken: (room: string) => Promise<RoomToken>) {
    super();
    this.match = match;
    this.#fetchToken = fetchToken;
  }

  /** @internal See {@link GameServer.join}. */
  static async join(
    match: Match,
    access: RoomToken,
    fetchToken: (room: string) => Promise<RoomToken>,
    options: JoinOptions,
  ): Promise<MatchSession> {
    const session = new MatchSession(match, fetchToken);
    try {
      await session.#start(access, options.signal);
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  get status(): SessionStatus {
    return this.#status;
  }
  /** Why the session ended; `undefined` while it has not. */
  get closeReason(): CloseReason | undefined {
    return this.#closed;
  }
  /** The game's schemas. */
  get manifest(): Manifest {
    const manifest = this.#core.manifest;
    if (manifest === undefined) {
      throw new Error("a session is handed out after its welcome, which carries the manifest");
    }
    return manifest;
  }
  get game(): string {
    return this.#core.game;
  }
  /** Hash of the game module that the match runs on, lower-case hex. */
  get moduleSha256(): string {
    return this.#core.moduleSha256;
  }
  /** This player's slot; `undefined` for a spectator. */
  get slot(): number | undefined {
    return this.#core.slot;
  }
  get phase(): MatchCore["phase"] {
    return this.#core.phase;
  }
  /** The players, ascending by slot. */
  get players(): MatchPlayer[] {
    return this.#core.players;
  }
  /** How the match ended; `undefined` while it has not. */
  get result(): MatchResult | undefined {
    return this.#core.result;
  }
  get stats(): SessionStats {
    const at = this.#core.stateAtMs;
    return {
      roundTripMs: this.#core.roundTripMs,
      marginTicks: this.#core.marginTicks,
      tick: this.#core.tick,
      packetAgeMs: at === undefined ? undefined : Math.max(0, performance.now() - at),
      counters: this.#core.counters,
    };
  }
  /** The entities' recent past; {@link World.columns} reads them without an object a field. */
  get world(): World | undefined {
    return this.#core.world;
  }
  /** LiveKit's room, for voice and video; replaced by a reconnect. */
  get room(): Room | undefined {
    return this.#room;
  }

  /** Asked for this player's input once each tick; `undefined` stops sending inputs. */
  setInput(source: InputSource | undefined): void {
    this.#core.input = source;
  }

  /** The entities as they are to be drawn at `nowMs` of `performance.now()`. */
  view(nowMs: number = performance.now()): Entity[] {
    return this.#core.view(nowMs);
  }

  /**
   * Sends a command of the game.
   *
   * @throws {RangeError} where the game has no such command.
   */
  command(name: string, fields: Readonly<Record<string, FieldInput>> = {}): void {
    this.#core.command(name, fields);
    this.#drain();
  }

  /** Says something to everyone in the match; cut at 500 bytes. */
  chat(text: string): void {
    this.#core.chat(text);
    this.#drain();
  }

  /** Gives the match up: the slot is freed at once. Then closes. */
  async leave(): Promise<void> {
    this.#core.leave();
    await Promise.allSettled(this.#drain());
    this.close();
  }

  /** Closes the connection; the slot is held for a while, so {@link GameServer.rejoin} works. */
  close(): void {
    this.#close("left");
  }

  async #start(access: RoomToken, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await this.#connect(access);
    const interval = this.#core.manifest ? 1000 / this.#core.manifest.tickRate / 2 : JOIN_TIMER_MS;
    this.#timer = startTimer(interval, () => this.#handleTimeout());
    await new Promise<void>((resolve, reject) => {
      const stops: (() => void)[] = [];
      const settle = (error?: unknown) => {
        for (const stop of stops) {
          stop();
        }
        if (error === undefined) {
          resolve();
        } else {
          reject(error);
        }
      };
      const abort = () => settle(signal?.reason);
      const timeout = setTimeout(
        () => settle(new Error("the match's authority did not answer")),
        JOIN_TIMEOUT_MS,
      );
      signal?.addEventListener("abort", abort, { once: true });
      stops.push(
        () => clearTimeout(timeout),
        () => signal?.removeEventListener("abort", abort),
        this.on("welcome", () => settle()),
        this.on("closed", (reason) =>
          settle(new Error(`the match could not be joined: ${reason}`)),
        ),
      );
      this.#handleTimeout();
    });
    this.#timer.stop();
    const rate = this.manifest.tickRate;
    this.#timer = startTimer(500 / rate, () => this.#handleTimeout());
  }

  async #connect(access: RoomToken): Promise<void> {
    const room = new Room({ adaptiveStream: false, dynacast: false });
    this.#room = room;
    room
      .on(RoomEvent.DataReceived, (payload, participant, _kind, topic, _encryption, identity) => {
        if (this.#room !== room) {
          return;
        }
        this.#core.handleData(identity ?? participant?.identity, topic, payload, performance.now());
        this.#deliver();
      })
      .on(RoomEvent.Reconnecting, () => {
        if (this.#room === room) {
          this.#setStatus("reconnecting");
        }
      })
      .on(RoomEvent.Reconnected, () => {
        if (this.#room === room) {
          this.#handleConnected();
        }
      })
      .on(RoomEvent.Disconnected, (reason) => {
        if (this.#room === room) {
          this.#handleDisconnected(reason);
        }
      });
    await room.connect(access.url, access.token, { autoSubscribe: true });
    if (this.#closed !== undefined) {
      await room.disconnect();
      throw new Error("the session was closed while it connected");
    }
    this.#handleConnected();
  }

  #handleConnected(): void {
    this.#connectedAt = performance.now();
    // What the old connection still holds may never be let go.
    this.#lossy = { inFlight: 0 };
    this.#core.handleConnected();
    this.#setStatus("connected");
  }

  #handleDisconnected(reason: DisconnectReason | undefined): void {
    switch (reason) {
      case DisconnectReason.DUPLICATE_IDENTITY:
        this.#close("elsewhere");
        break;
      case DisconnectReason.PARTICIPANT_REMOVED:
        this.#close("removed");
        break;
      case DisconnectReason.ROOM_DELETED:
      case DisconnectReason.ROOM_CLOSED:
        this.#close("over");
        break;
      default:
        if (this.#status !== "connecting") {
          void this.#reconnect();
        }
    }
  }

  #handleTimeout(): void {
    const now = performance.now();
    this.#core.handleTimeout(now);
    this.#drain();
    if (this.#status !== "connecting" && this.#isCut(now)) {
      void this.#reconnect();
    }
  }

  /**
   * Whether a fresh connection is the better one. After an outage the data channel waits for its
   * own timer, up to 7 s, and LiveKit's reconnecting asks the old address with the old token for
   * most of a minute, while a fresh connection takes a fraction of a second.
   */
  #isCut(now: number): boolean {
    const { phase, slot } = this.#core;
    const silent = (since: number | undefined) =>
      now - Math.max(since ?? 0, this.#connectedAt) > SILENCE_MS;
    if ((phase === "running" || phase === "joining") && silent(this.#core.heardAtMs)) {
      return true;
    }
    // A line can be open in one direction only: states come, and no input arrives.
    const mine = this.#core.players.find((player) => player.slot === slot);
    return (
      phase === "running" &&
      mine !== undefined &&
      mine.presence !== "gone" &&
      this.#core.answeredAtMs !== undefined &&
      silent(this.#core.answeredAtMs)
    );
  }

  /** Connects afresh until it works, the room is over, or too long has passed. */
  async #reconnect(): Promise<void> {
    if (this.#reconnecting || this.#closed !== undefined) {
      return;
    }
    this.#reconnecting = true;
    this.#setStatus("reconnecting");
    const old = this.#room;
    this.#room = undefined;
    void old?.disconnect().catch(() => {});
    const started = performance.now();
    for (let attempt = 0; this.#closed === undefined; attempt += 1) {
      try {
        await this.#connect(await this.#fetchToken(this.match.room));
        break;
      } catch (error) {
        if (isMatchOver(error)) {
          this.#close("over");
        } else if (performance.now() - started > GIVE_UP_MS) {
          this.#close("lost");
        } else {
          await new Promise((resolve) =>
            setTimeout(resolve, Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** attempt)),
          );
        }
      }
    }
    this.#reconnecting = false;
  }

  #close(reason: CloseReason): void {
    if (this.#closed !== undefined) {
      return;
    }
    this.#closed = reason;
    this.#timer?.stop();
    void this.#room?.disconnect().catch(() => {});
    this.#setStatus("closed");
    this.emit("closed", reason);
  }

  #setStatus(status: SessionStatus): void {
    if (this.#status !== status && (this.#closed === undefined || status === "closed")) {
      this.#status = status;
      this.emit("status", status);
    }
  }

  #drain(): Promise<void>[] {
    const sent: Promise<void>[] = [];
    for (let next = this.#core.pollTransmit(); next; next = this.#core.pollTransmit()) {
      sent.push(this.#publish(next));
    }
    return sent;
  }

  async #publish(packet: Transmit): Promise<void> {
    const room = this.#room;
    if (room === undefined || this.#status === "closed") {
      return;
    }
    const lossy = this.#lossy;
    // A stalled channel must not collect inputs that are stale by the time it moves again.
    if (
      !packet.reliable &&
      (this.#status !== "connected" || lossy.inFlight >= MAX_LOSSY_IN_FLIGHT)
    ) {
      return;
    }
    lossy.inFlight += packet.reliable ? 0 : 1;
    try {
      await room.localParticipant.publishData(packet.payload as Uint8Array<ArrayBuffer>, {
        topic: packet.topic,
        reliable: packet.reliable,
        destinationIdentities: [AUTHORITY],
      });
    } catch {
      // The room tells of a broken connection itself; hello and inputs are repeated.
    } finally {
      lossy.inFlight -= packet.reliable ? 0 : 1;
    }
  }

  #deliver(): void {
    for (let next = this.#core.pollEvent(); next; next = this.#core.pollEvent()) {
      switch (next.type) {
        case "welcome":
          this.emit("welcome", undefined);
          break;
        case "started":
          this.emit("started", { tick: next.tick });
          break;
        case "player":
          this.emit("player", next.player);
          break;
        case "event":
          this.emit("event", next.event);
          break;
        case "result":
          this.emit("result", next.result);
          break;
        case "refused":
          this.emit("refused", { what: next.what, reason: next.reason });
          break;
        case "chat":
          this.emit("chat", next.line);
          break;
      }
    }
  }
}

/** Whether an error of joining says that there is nothing to join any more. */
export function isMatchOver(error: unknown): boolean {
  return error instanceof ApiError && OVER.includes(error.status);
}

/** 409: whoever was matched into a room was told so when it was ready, so it is over. */
const OVER: readonly number[] = [401, 403, 404, 409, 410];
/** Until the tick rate is known: often enough to repeat a hello in time. */
const JOIN_TIMER_MS = 50;
/** The authority may have to start the room first. */
const JOIN_TIMEOUT_MS = 30_000;
/** States come each tick: so long a silence is an outage, not jitter. */
const SILENCE_MS = 4000;
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 4000;
/** Longer than a server's restart; a slot is held for less. */
const GIVE_UP_MS = 90_000;
const MAX_LOSSY_IN_FLIGHT = 8;
