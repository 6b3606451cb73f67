import { DataPacket_Kind, DisconnectReason, Room, RoomEvent } from "livekit-client";
import type { FieldInput, GameEvent } from "./codec.js";
import {
  AUTHORITY,
  type AuthorityMode,
  type ChatLine,
  type CoreOptions,
  type CoreStats,
  type Difference,
  type Emulation,
  type InputSource,
  MatchCore,
  type MatchPlayer,
  type MatchResult,
  type Report,
  type Transmit,
} from "./core.js";
import { Emitter } from "./emitter.js";
import { ApiError } from "./http.js";
import type { Manifest } from "./manifest.js";
import { type ModuleCache, ModuleInstance } from "./module.js";
import type { Match } from "./ticket.js";
import { startTimer, type Timer } from "./timer.js";
import type { Entity, ViewTable } from "./view.js";

/** What `GET /auth/token` answers, as far as a session needs it. */
export interface RoomToken {
  readonly url: string;
  readonly token: string;
}

/** How to join. */
export interface JoinOptions extends CoreOptions {
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
  /** Another player was given this player's slot. */
  | "replaced"
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
  /** A slot's player changed: their presence, or who they are where somebody takes a slot over. */
  player: MatchPlayer;
  /**
   * An event of the game. One that this page predicted comes at once, with `predicted`; whatever
   * the server confirms comes without, and with `anticipated` where it was predicted before.
   */
  event: GameEvent;
  /** The end; again with `stored` once the result is in the store. */
  result: MatchResult;
  refused: { readonly what: string; readonly reason: string };
  chat: ChatLine;
  /** From now on this player is served in another mode. */
  mode: { readonly mode: AuthorityMode; readonly reason: string };
  /** This page's simulation came to another state than the server's; it goes on from the server's. */
  desync: { readonly tick: number; readonly differences: readonly Difference[] };
  /** What another player shared, in games whose authority only observes. */
  peer: { readonly slot: number; readonly tick: number; readonly data: Uint8Array };
  /** The game's module cannot be run here: what the server sends is drawn, and nothing predicted. */
  moduleFailed: Error;
}

/** How the line is, and how well the guesses hold. */
export interface SessionStats extends CoreStats {
  /** Milliseconds since the authority's last state; `undefined` before the first. */
  readonly packetAgeMs: number | undefined;
}

/** What a session needs of the API. */
export interface SessionApi {
  roomToken(room: string): Promise<RoomToken>;
  readonly modules: ModuleCache;
}

/** One match over LiveKit: sends inputs each tick, answers the entities to draw. */
export class MatchSession extends Emitter<SessionEvents> {
  /** The match that was joined. */
  readonly match: Match;
  readonly #core: MatchCore;
  readonly #api: SessionApi;
  #room: Room | undefined;
  #timer: Timer | undefined;
  #status: SessionStatus = "connecting";
  #closed: CloseReason | undefined;
  #connectedAt = 0;
  /** Lossy packets that the connection has taken and not let go; each connection has its own. */
  #lossy = { inFlight: 0 };
  #reconnecting = false;
  /** When the authority was last heard, in any way. */
  #heardAt: number | undefined;
  /** When its last state came. */
  #stateAt: number | undefined;
  #pumpedAt = performance.now();
  #drawnAt = Number.NEGATIVE_INFINITY;

  private constructor(match: Match, api: SessionApi, core: MatchCore) {
    super();
    this.match = match;
    this.#api = api;
    this.#core = core;
  }

  /** @internal See {@link GameServer.join}. */
  static async join(
    match: Match,
    access: RoomToken,
    api: SessionApi,
    options: JoinOptions,
  ): Promise<MatchSession> {
    const session = new MatchSession(match, api, await MatchCore.create(options));
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
  /** In which mode this player is served. */
  get mode(): AuthorityMode | undefined {
    return this.#core.mode;
  }
  get stats(): SessionStats {
    const at = this.#stateAt;
    return {
      ...this.#core.stats,
      packetAgeMs: at === undefined ? undefined : Math.max(0, performance.now() - at),
    };
  }
  /** Whether this page runs ahead of the server with the game's module. */
  get prediction(): boolean {
    return this.#core.prediction;
  }
  set prediction(on: boolean) {
    this.#core.prediction = on;
  }
  /** LiveKit's room, for voice and video; replaced by a reconnect. */
  get room(): Room | undefined {
    return this.#room;
  }

  /** Asked for this player's input once each tick; `undefined` stops sending inputs. */
  setInput(source: InputSource | undefined): void {
    this.#core.input = source;
  }

  /**
   * The entities as they are to be drawn at `nowMs` of `performance.now()`. The input that is due
   * is asked for first, so that what was just pressed shows in this very picture.
   */
  view(nowMs: number = performance.now()): Entity[] {
    this.#beforeFrame(nowMs);
    return this.#core.view(nowMs);
  }

  /** The same as {@link view}, as columns of numbers: for games with hundreds of entities. */
  viewTable(nowMs: number = performance.now()): ViewTable | undefined {
    this.#beforeFrame(nowMs);
    return this.#core.viewTable(nowMs);
  }

  /**
   * Makes the line worse on purpose, to feel and to test what comes of it; `undefined` takes it as
   * it is. `seed` makes losses repeatable.
   */
  emulate(line: Emulation | undefined, seed = Math.floor(Math.random() * 0x4000_0000)): void {
    this.#core.emulate(line, seed);
  }

  /**
   * Shares state with the other players, who hear `peer`, in games whose authority only observes.
   *
   * @throws in other games, and for more than 900 bytes.
   */
  share(data: Uint8Array): void {
    this.#core.share(data, performance.now());
    this.#drain();
  }

  /**
   * Tells how the match ended, in games whose authority only observes: what most players tell
   * counts.
   *
   * @throws in other games.
   */
  report(report: Report): void {
    this.#core.report(report);
    this.#drain();
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
    // LiveKit's server forwards nothing more of a participant who is gone, so wait until it is heard.
    const heard = new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timeout);
        stopPlayer();
        stopClosed();
        resolve();
      };
      const timeout = setTimeout(settle, LEAVE_TIMEOUT_MS);
      const stopPlayer = this.on("player", (player) => {
        if (player.slot === this.slot && player.presence === "gone") {
          settle();
        }
      });
      const stopClosed = this.on("closed", settle);
    });
    this.#core.leave();
    await Promise.allSettled(this.#drain());
    await heard;
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
      .on(RoomEvent.DataReceived, (payload, participant, kind, topic, _encryption, identity) => {
        if (this.#room === room) {
          const reliable = kind === DataPacket_Kind.RELIABLE;
          this.#handleData(identity ?? participant?.identity, topic, payload, reliable);
        }
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
    this.#core.handleConnected(this.#connectedAt);
    this.#setStatus("connected");
  }

  #handleData(
    identity: string | undefined,
    topic: string | undefined,
    payload: Uint8Array,
    reliable: boolean,
  ): void {
    const now = performance.now();
    if (identity === AUTHORITY) {
      this.#heardAt = now;
      this.#stateAt = topic === "state" ? now : this.#stateAt;
    }
    this.#core.handleData(identity, topic, payload, reliable, now);
    this.#deliver();
  }

  /** Whoever loses their slot to another player has no way back into it. */
  #handlePlayer(player: MatchPlayer): void {
    const taken = player.playerId !== "" && player.playerId !== this.match.identity;
    if (player.slot === this.#core.slot && taken) {
      this.#close("replaced");
    }
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
    // A page that slept has packets waiting behind this timer: only from now on it listens.
    if (now - this.#pumpedAt > SLEPT_MS) {
      this.#connectedAt = now;
    }
    // Where frames are drawn, they ask: what was pressed a moment before one is then in it.
    if (now - this.#drawnAt > DRAWING_MS) {
      this.#core.makeInputs(now);
    }
    this.#pump(now);
    if (this.#status !== "connecting" && this.#isCut(now)) {
      void this.#reconnect();
    }
  }

  #beforeFrame(now: number): void {
    this.#drawnAt = now;
    if (this.#closed === undefined) {
      this.#core.makeInputs(now);
    }
    this.#pump(now);
  }

  /** Sends what is to be sent, tells what happened. */
  #pump(now: number): void {
    this.#pumpedAt = Math.max(this.#pumpedAt, now);
    if (this.#closed === undefined) {
      this.#core.handleTimeout(now);
      this.#drain();
    }
    this.#deliver();
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
    if ((phase === "running" || phase === "joining") && silent(this.#heardAt)) {
      return true;
    }
    // A line can be open in one direction only: states come, and no input arrives.
    const mine = this.#core.players.find((player) => player.slot === slot);
    const { answeredAtMs } = this.#core.stats;
    return (
      phase === "running" &&
      mine !== undefined &&
      mine.presence !== "gone" &&
      answeredAtMs !== undefined &&
      silent(answeredAtMs)
    );
  }

  /** Fetches, compiles and starts the game's module for the client core. */
  async #provideModule(sha256: string): Promise<void> {
    for (let attempt = 0; this.#closed === undefined; attempt += 1) {
      try {
        const module = await this.#api.modules.get(this.match.game, sha256);
        const instance = await ModuleInstance.create(module);
        // A match that was joined anew may run on another one by now.
        if (this.#closed === undefined && this.#core.moduleSha256 === sha256) {
          this.#core.handleModule(instance, performance.now());
          this.#deliver();
        }
        return;
      } catch (error) {
        const passing = error instanceof ApiError && (error.status === 0 || error.status >= 500);
        if (!passing || attempt >= MODULE_ATTEMPTS) {
          if (this.#closed === undefined && this.#core.moduleSha256 === sha256) {
            this.#core.handleModuleUnavailable(performance.now());
          }
          this.emit("moduleFailed", error instanceof Error ? error : new Error(String(error)));
          return;
        }
        await pause(FIRST_BACKOFF_MS * 2 ** attempt);
      }
    }
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
    this.#core.handleDisconnected(performance.now());
    void old?.disconnect().catch(() => {});
    const started = performance.now();
    for (let attempt = 0; this.#closed === undefined; attempt += 1) {
      try {
        await this.#connect(await this.#api.roomToken(this.match.room));
        break;
      } catch (error) {
        if (isMatchOver(error)) {
          this.#close("over");
        } else if (performance.now() - started > GIVE_UP_MS) {
          this.#close("lost");
        } else {
          await pause(Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** attempt));
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
    const now = performance.now();
    for (let next = this.#core.pollTransmit(now); next; next = this.#core.pollTransmit(now)) {
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
        ...(packet.everyone ? {} : { destinationIdentities: [AUTHORITY] }),
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
          this.#handlePlayer(next.player);
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
        case "needModule":
          void this.#provideModule(next.sha256);
          break;
        case "mode":
          this.emit("mode", { mode: next.mode, reason: next.reason });
          break;
        case "desync":
          this.emit("desync", { tick: next.tick, differences: next.differences });
          break;
        case "peer":
          this.emit("peer", { slot: next.slot, tick: next.tick, data: next.data });
          break;
      }
    }
  }
}

/** Whether an error of joining says that there is nothing to join any more. */
export function isMatchOver(error: unknown): boolean {
  return error instanceof ApiError && OVER.includes(error.status);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** 409: whoever was matched into a room was told so when it was ready, so it is over. */
const OVER: readonly number[] = [401, 403, 404, 409, 410];
/** Until the tick rate is known: often enough to repeat a hello in time. */
const JOIN_TIMER_MS = 50;
/** A match that is over, or an authority that is away, answers nothing. */
const LEAVE_TIMEOUT_MS = 1_000;
/** The authority may have to start the room first. */
const JOIN_TIMEOUT_MS = 30_000;
/** States come each tick: so long a silence is an outage, not jitter. */
const SILENCE_MS = 4000;
/** The timer comes each half tick, from a worker: one so late was held up by the page itself. */
const SLEPT_MS = 1000;
/** Three ticks at 60 Hz: a page that draws less often than that is not waited for. */
const DRAWING_MS = 50;
/** Some four seconds. */
const MODULE_ATTEMPTS = 4;
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 4000;
/** Longer than a server's restart; a slot is held for less. */
const GIVE_UP_MS = 90_000;
const MAX_LOSSY_IN_FLIGHT = 8;
