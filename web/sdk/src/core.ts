import {
  decodeMessage,
  encodeInput,
  encodeMessage,
  type FieldInput,
  type GameEvent,
} from "./codec.js";
import { type Manifest, parseManifest } from "./manifest.js";
import type { ModuleInstance } from "./module.js";
import { type Entity, ViewReader, type ViewTable } from "./view.js";
import { clientMemory, MatchClient } from "./wasm.js";

/** The identity of a room's authority; no player can take it. */
export const AUTHORITY = "authority";

/** Who has the last word on what happens in a match, and how the client follows it. */
export type AuthorityMode = "full" | "validated" | "observer";

/** A packet to publish. */
export interface Transmit {
  readonly topic: "input" | "state" | "events" | "chat";
  readonly reliable: boolean;
  /** To everyone in the room; otherwise to the authority alone. */
  readonly everyone: boolean;
  readonly payload: Uint8Array;
}

/** A player of the match. */
export interface MatchPlayer {
  readonly slot: number;
  readonly playerId: string;
  readonly username: string;
  readonly team: number;
  /** `expected`: matched, never seen; `lost`: silent, the slot is held; `gone`: left for good. */
  readonly presence: "expected" | "present" | "lost" | "gone";
  /**
   * Whether nobody plays in this slot and somebody else may: the one named is whoever left it, or
   * nobody, with empty id and name, where the match began without.
   */
  readonly open: boolean;
}

/** What one player came out with. */
export interface SlotOutcome {
  readonly slot: number;
  /** 1 is best; equal placements are a draw. */
  readonly placement: number;
  readonly team: number | undefined;
  readonly score: number;
  readonly statistics: Readonly<Record<string, number>>;
}

/** The end of a match. */
export interface MatchResult {
  readonly outcome: "finished" | "abandoned" | "void";
  /** For people, where the outcome is not `finished`. */
  readonly reason: string;
  readonly slots: readonly SlotOutcome[];
  /** Whether the result is in the store. */
  readonly stored: boolean;
}

/** How a match ended, as this player saw it: for games whose authority only observes. */
export interface Report {
  readonly outcome: MatchResult["outcome"];
  readonly slots: readonly {
    readonly slot: number;
    readonly placement: number;
    readonly team?: number;
    readonly score: number;
  }[];
}

/** A line of chat, relayed by the authority. */
export interface ChatLine {
  readonly slot: number;
  readonly username: string;
  readonly text: string;
  readonly sentAt: Date;
}

/** A value that this page's simulation came to, and the server's. */
export interface Difference {
  readonly entity: number;
  readonly kind: string;
  readonly field: string;
  readonly mine: number;
  readonly theirs: number;
}

/** What the match tells; {@link MatchCore.pollEvent} answers them in order. */
export type CoreEvent =
  | { readonly type: "welcome" }
  | { readonly type: "needModule"; readonly sha256: string }
  | { readonly type: "started"; readonly tick: number }
  | { readonly type: "player"; readonly player: MatchPlayer }
  | { readonly type: "event"; readonly event: GameEvent }
  | { readonly type: "result"; readonly result: MatchResult }
  | { readonly type: "refused"; readonly what: string; readonly reason: string }
  | { readonly type: "chat"; readonly line: ChatLine }
  | { readonly type: "mode"; readonly mode: AuthorityMode; readonly reason: string }
  | {
      readonly type: "desync";
      readonly tick: number;
      readonly differences: readonly Difference[];
    }
  | {
      readonly type: "peer";
      readonly slot: number;
      readonly tick: number;
      readonly data: Uint8Array;
    };

/** How the line is, and how well the client's guesses hold. Counts are from the start. */
export interface CoreStats {
  /** Round trip to the authority in ms, smoothed; `undefined` until measured. */
  readonly roundTripMs: number | undefined;
  /** Mean deviation of the arrival of states, in ticks. */
  readonly jitterTicks: number;
  /** How early inputs arrive before their tick, in ticks; `undefined` until reported. */
  readonly marginTicks: number | undefined;
  /** How early they should. */
  readonly targetMarginTicks: number;
  /** The newest tick that the server is known to have reached; 0: none. */
  readonly serverTick: number;
  /** The newest tick of which there is state: received, or in `validated` confirmed; 0: none. */
  readonly tick: number;
  /** The newest tick for which an input was made. */
  readonly inputTick: number;
  /** How far the simulation is ahead of `tick`. */
  readonly predictedTicks: number;
  /**
   * When the authority last showed that it hears this player, in the caller's milliseconds; counts
   * from the first state after a silence.
   */
  readonly answeredAtMs: number | undefined;
  /** How old the server's state is that the picture rests on, in ms. */
  readonly staleMs: number;
  /** Frames that were drawn. */
  readonly frames: number;
  /** Inputs of which the effect was drawn. */
  readonly inputsShown: number;
  /** Frames that were drawn without the effect of an input that had been given. */
  readonly inputFrames: number;
  /** How often ticks were simulated again. */
  readonly rollbacks: number;
  readonly resimulatedTicks: number;
  /** Predicted ticks that turned out otherwise. */
  readonly mispredictedTicks: number;
  /** Entities that could be seen to be moved because a guess was wrong. */
  readonly corrections: number;
  /** Confirmed ticks whose hash was the server's. */
  readonly hashesMatched: number;
  /** Confirmed ticks whose hash was not. */
  readonly mismatches: number;
  /** States of the server that were loaded whole. */
  readonly keyframes: number;
  /** How often the client asked for a state to start from. */
  readonly resyncs: number;
  readonly bytesUp: number;
  readonly packetsUp: number;
  readonly bytesDown: number;
  readonly packetsDown: number;
  readonly counters: Counters;
}

/** What became of packets. */
export interface Counters {
  /** State packets that brought something new. */
  readonly states: number;
  /** State packets that came too late or twice. */
  readonly stale: number;
  /** Packets that could not be read. */
  readonly malformed: number;
  /** Packets written against a state that is not held. */
  readonly noBaseline: number;
  /** Packets of a topic that only the authority may send, from someone else. */
  readonly foreign: number;
  /** Packets of an earlier epoch. */
  readonly oldEpoch: number;
  /** Gaps in the sequence of server events. */
  readonly gaps: number;
  /** Packets of a version that this client does not know. */
  readonly unknownVersion: number;
  /** What was not fetched in time. */
  readonly dropped: number;
}

/** A line that is made worse on purpose, in both directions. */
export interface Emulation {
  /** Added to the round trip, in ms. */
  readonly latencyMs?: number;
  /** How much each direction varies, in ms. */
  readonly jitterMs?: number;
  /** Percent of the packets that are lost, in each direction. */
  readonly lossPct?: number;
}

/** The fields of an input by name; asked for once a tick. */
export type InputSource = (tick: number) => Readonly<Record<string, FieldInput>>;

/** How a client starts. */
export interface CoreOptions {
  /** Whether to run ahead of the server with the game's module; it does by default. */
  readonly prediction?: boolean;
  /**
   * Ticks by which own inputs show later than they could, 0 to 8: each takes one tick off what
   * must be guessed of the others. 0 by default.
   */
  readonly inputDelay?: number;
}

/**
 * A player's end of a match without sockets or timers: packets go in with the time, packets and
 * events come out. {@link MatchSession} runs it over LiveKit. It is `crates/client`, compiled to
 * WebAssembly, with names in place of numbers.
 */
export class MatchCore {
  /** Asked once for each tick; `undefined`: only heartbeats are sent. */
  input: InputSource | undefined;
  readonly #client: MatchClient;
  readonly #memory: WebAssembly.Memory;
  readonly #anticipated = new Anticipated();
  #match: Match | undefined;
  #reader: ViewReader | undefined;
  #prediction: boolean;
  #welcomeDue = false;

  private constructor(memory: WebAssembly.Memory, options: CoreOptions) {
    this.#memory = memory;
    this.#prediction = options.prediction ?? true;
    this.#client = new MatchClient(this.#prediction, options.inputDelay ?? 0);
  }

  /** Makes one, once the WebAssembly is there. */
  static async create(options: CoreOptions = {}): Promise<MatchCore> {
    return new MatchCore(await clientMemory(), options);
  }

  /** The game's schemas; from the first welcome on. */
  get manifest(): Manifest | undefined {
    return this.#match?.manifest;
  }
  get matchId(): string {
    return this.#match?.matchId ?? "";
  }
  get game(): string {
    return this.#match?.game ?? "";
  }
  /** Hash of the game module that the match runs on, lower-case hex. */
  get moduleSha256(): string {
    return this.#client.moduleSha256;
  }
  /** How this client is served; `undefined` before the welcome. */
  get mode(): AuthorityMode | undefined {
    return this.#client.mode as AuthorityMode | undefined;
  }
  /** This player's slot; `undefined` before the welcome, and for a spectator. */
  get slot(): number | undefined {
    return this.#client.slot;
  }
  get phase(): "joining" | "waiting" | "running" | "ended" {
    return this.#client.phase as "joining" | "waiting" | "running" | "ended";
  }
  /** The players, ascending by slot. */
  get players(): MatchPlayer[] {
    return this.#client.players() as MatchPlayer[];
  }
  get result(): MatchResult | undefined {
    return this.#client.result as MatchResult | undefined;
  }
  get stats(): CoreStats {
    return this.#client.stats() as CoreStats;
  }
  /** Whether the client runs ahead of the server. */
  get prediction(): boolean {
    return this.#prediction;
  }
  set prediction(on: boolean) {
    this.#prediction = on;
    this.#client.setPrediction(on);
  }

  /** The transport is up, or up again: packets may have been lost on the way. */
  handleConnected(nowMs: number): void {
    this.#client.handleConnected(nowMs);
  }

  /** The transport is down. */
  handleDisconnected(nowMs: number): void {
    this.#client.handleDisconnected(nowMs);
  }

  /** A packet arrived; `identity` is the sender's as LiveKit vouches for it. */
  handleData(
    identity: string | undefined,
    topic: string | undefined,
    payload: Uint8Array,
    reliable: boolean,
    nowMs: number,
  ): void {
    if (topic === "state" || topic === "events" || topic === "chat") {
      this.#client.handlePacket(identity ?? "", topic, payload, reliable, nowMs);
    }
  }

  /**
   * The match's module, which the event `needModule` asked for.
   *
   * @throws where it cannot be run.
   */
  handleModule(module: ModuleInstance, nowMs: number): void {
    this.#client.handleModule(module, nowMs);
  }

  /** No module that can be run here is to be had: the server is asked for views instead. */
  handleModuleUnavailable(nowMs: number): void {
    this.#client.handleModuleUnavailable(nowMs);
  }

  /** Time has passed. Call it each half tick and each frame. */
  handleTimeout(nowMs: number): void {
    this.#client.handleTimeout(nowMs);
  }

  /** Asks for the inputs that are due. What the player did until now counts. */
  makeInputs(nowMs: number): void {
    const { input } = this;
    const schema = this.#match?.manifest.input ?? [];
    for (let i = 0; i < MAX_INPUTS_AT_ONCE; i += 1) {
      const tick = this.#client.pollInput(nowMs);
      if (tick === 0) {
        break;
      }
      if (input !== undefined && schema.length > 0) {
        this.#client.handleInput(tick, encodeInput(schema, input(tick)));
      }
    }
  }

  /** When {@link handleTimeout} has something to do next, in the caller's milliseconds. */
  get timeoutMs(): number | undefined {
    return this.#client.pollTimeout();
  }

  /**
   * Sends a command of the game.
   *
   * @throws {RangeError} where the game has no such command, or before the welcome.
   */
  command(name: string, fields: Readonly<Record<string, FieldInput>> = {}): void {
    if (this.#match === undefined) {
      throw new RangeError("commands can be sent once the match has been joined");
    }
    this.#client.command(encodeMessage(this.#match.manifest.commands, name, fields));
  }

  /** Gives the match up. */
  leave(): void {
    this.#client.leave();
  }

  /** Says something; cut at 500 bytes. */
  chat(text: string): void {
    const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_CHAT_BYTES));
    this.#client.chat(text.slice(0, read));
  }

  /**
   * Shares state with the other players, in games whose authority only observes.
   *
   * @throws in other games, and for more than 900 bytes.
   */
  share(data: Uint8Array, nowMs: number): void {
    this.#client.share(data, nowMs);
  }

  /**
   * Tells how the match ended, in games whose authority only observes: what most players tell
   * counts.
   *
   * @throws in other games.
   */
  report(report: Report): void {
    const rows = report.slots.flatMap((s) => [s.slot, s.placement, s.team ?? -1, s.score]);
    this.#client.report(OUTCOMES.indexOf(report.outcome), Int32Array.from(rows));
  }

  /** Makes the line worse; `undefined` takes it as it is. */
  emulate(line: Emulation | undefined, seed: number): void {
    const { latencyMs = 0, jitterMs = 0, lossPct = 0 } = line ?? {};
    this.#client.emulate(latencyMs, jitterMs, lossPct / 100, seed);
  }

  /** The entities as they are to be drawn at `nowMs`, ascending by id. */
  view(nowMs: number): Entity[] {
    return this.#read(nowMs)?.entities() ?? [];
  }

  /** The same as {@link view} as numbers in memory, without an object an entity. */
  viewTable(nowMs: number): ViewTable | undefined {
    return this.#read(nowMs)?.table();
  }

  /** The next packet to publish. */
  pollTransmit(nowMs: number): Transmit | undefined {
    return this.#client.pollTransmit(nowMs) as Transmit | undefined;
  }

  /** The next thing that happened. */
  pollEvent(): CoreEvent | undefined {
    if (this.#welcomeDue && this.#readMatch()) {
      this.#welcomeDue = false;
      return { type: "welcome" };
    }
    for (;;) {
      const event = this.#client.pollEvent() as RawEvent | undefined;
      if (event === undefined) {
        return undefined;
      }
      const known = this.#readEvent(event);
      if (known !== undefined) {
        return known;
      }
    }
  }

  /** Gives its memory back; nothing may be called any more. */
  free(): void {
    this.#client.free();
  }

  #readEvent(event: RawEvent): CoreEvent | undefined {
    switch (event.type) {
      case "welcome":
        // A manifest that found no room in the welcome comes with the module.
        this.#welcomeDue = !this.#readMatch();
        return this.#welcomeDue ? undefined : event;
      case "game": {
        const schema = this.#match?.manifest.events ?? [];
        const decoded = decodeMessage(schema, event.data);
        const { tick, predicted, data } = event;
        return (
          decoded && {
            type: "event",
            event: {
              ...decoded,
              tick,
              predicted,
              anticipated: this.#anticipated.handle(tick, data, predicted),
            },
          }
        );
      }
      case "chat": {
        const { slot, username, text } = event;
        return {
          type: "chat",
          line: { slot, username, text, sentAt: new Date(event.sentAtMs) },
        };
      }
      default:
        return event;
    }
  }

  /** Takes what the match is; whether that is known. */
  #readMatch(): boolean {
    const info = this.#client.matchInfo() as
      | { matchId: string; game: string; manifest: unknown }
      | undefined;
    if (info === undefined) {
      return false;
    }
    const { moduleSha256 } = this.#client;
    if (this.#match?.matchId !== info.matchId || this.#match.moduleSha256 !== moduleSha256) {
      const manifest = parseManifest(info.manifest);
      this.#match = { matchId: info.matchId, game: info.game, moduleSha256, manifest };
      this.#reader = new ViewReader(this.#client, this.#memory, manifest);
    }
    return true;
  }

  #read(nowMs: number): ViewReader | undefined {
    this.#reader?.update(nowMs);
    return this.#reader;
  }
}

/**
 * Events that were told of as predicted. What the server confirms of them comes once more, and
 * whoever has made the noise for it already should know.
 */
class Anticipated {
  #events: { tick: number; key: string }[] = [];

  /** Whether a confirmed event was told of before. */
  handle(tick: number, data: Uint8Array, predicted: boolean): boolean {
    const key = data.join();
    if (predicted) {
      this.#events.push({ tick, key });
      if (this.#events.length > MAX_ANTICIPATED) {
        this.#events.shift();
      }
      return false;
    }
    // A guess may be off by a few ticks, as where a bullet meets somebody who went elsewhere.
    const at = this.#events.findIndex(
      (e) => e.key === key && Math.abs(e.tick - tick) <= ANTICIPATED_TICKS,
    );
    if (at >= 0) {
      this.#events.splice(at, 1);
    }
    return at >= 0;
  }
}

interface Match {
  readonly matchId: string;
  readonly game: string;
  readonly moduleSha256: string;
  readonly manifest: Manifest;
}

/** What the WebAssembly answers. */
type RawEvent =
  | Exclude<CoreEvent, { type: "event" | "chat" }>
  | {
      readonly type: "game";
      readonly tick: number;
      readonly data: Uint8Array;
      readonly predicted: boolean;
    }
  | {
      readonly type: "chat";
      readonly slot: number;
      readonly username: string;
      readonly text: string;
      readonly sentAtMs: number;
    };

const OUTCOMES: readonly MatchResult["outcome"][] = ["finished", "abandoned", "void"];
const MAX_CHAT_BYTES = 500;
/** A page that slept catches up by jumping: more inputs at once could only be for the past. */
const MAX_INPUTS_AT_ONCE = 32;
/** Several seconds of a busy game. */
const MAX_ANTICIPATED = 256;
/** An eighth of a second at 60 Hz: two of the same kind are rarely that close. */
const ANTICIPATED_TICKS = 8;
