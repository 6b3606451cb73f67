import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { InputClock, PlaybackClock } from "./clock.js";
import {
  decodeMessage,
  encodeInput,
  encodeMessage,
  type FieldInput,
  type GameEvent,
} from "./codec.js";
import {
  ChatMessageSchema,
  ClientEventSchema,
  type MatchEnded,
  Outcome,
  Phase,
  type Player,
  PlayerInputSchema,
  Presence,
  type ServerEvent,
  ServerEventSchema,
  type StateUpdate,
  StateUpdateSchema,
  type Welcome,
} from "./gen/gameserver_pb.js";
import { type Manifest, parseManifest } from "./manifest.js";
import { type Entity, World } from "./world.js";

/** The identity of a room's authority; no player can take it. */
export const AUTHORITY = "authority";

/** A packet to publish to the authority. */
export interface Transmit {
  readonly topic: "input" | "events" | "chat";
  readonly reliable: boolean;
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

/** A line of chat, relayed by the authority. */
export interface ChatLine {
  readonly slot: number;
  readonly username: string;
  readonly text: string;
  readonly sentAt: Date;
}

/** What the match tells; {@link MatchCore.pollEvent} answers them in order. */
export type CoreEvent =
  | { readonly type: "welcome" }
  | { readonly type: "started"; readonly tick: number }
  | { readonly type: "player"; readonly player: MatchPlayer }
  | { readonly type: "event"; readonly event: GameEvent }
  | { readonly type: "result"; readonly result: MatchResult }
  | { readonly type: "refused"; readonly what: string; readonly reason: string }
  | { readonly type: "chat"; readonly line: ChatLine };

/** What was counted; all from the start of the session. */
export interface Counters {
  /** State packets that were applied. */
  states: number;
  /** State packets that came too late or twice. */
  stale: number;
  /** Packets that could not be read. */
  malformed: number;
  /** Packets of a topic that only the authority may send, from someone else. */
  foreign: number;
  /** Packets of an earlier epoch. */
  oldEpoch: number;
  /** Gaps in the sequence of server events. */
  gaps: number;
  /** Packets of a version that this client does not know. */
  unknownVersion: number;
}

/** The fields of an input by name; asked for once a tick. */
export type InputSource = (tick: number) => Readonly<Record<string, FieldInput>>;

/**
 * A player's end of a match without sockets or timers: packets go in with the time, packets and
 * events come out. {@link MatchSession} runs it over LiveKit.
 */
export class MatchCore {
  readonly counters: Counters = {
    states: 0,
    stale: 0,
    malformed: 0,
    foreign: 0,
    oldEpoch: 0,
    gaps: 0,
    unknownVersion: 0,
  };
  /** Asked once for each tick; `undefined`: only heartbeats are sent. */
  input: InputSource | undefined;

  #manifest: Manifest | undefined;
  #moduleSha256 = "";
  #matchId = "";
  #game = "";
  #slot: number | undefined;
  #phase = Phase.UNSPECIFIED;
  #players = new Map<number, MatchPlayer>();
  #result: MatchResult | undefined;

  #epoch = 0n;
  #sequence = 0;
  #helloAt: number | undefined;
  #wantsWelcome = true;

  #world: World | undefined;
  #playback = new PlaybackClock(60);
  #inputClock = new InputClock(60);
  #frames: { tick: number; data: Uint8Array }[] = [];
  #usedTick = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #stateAt: number | undefined;
  #heardAt: number | undefined;
  #answeredAt: number | undefined;
  #roundTrip: number | undefined;
  #echo = -1;

  #transmits: Transmit[] = [];
  #events: CoreEvent[] = [];

  /** The game's schemas; from the first welcome on. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }
  get matchId(): string {
    return this.#matchId;
  }
  get game(): string {
    return this.#game;
  }
  /** Hash of the game module that the server runs, lower-case hex. */
  get moduleSha256(): string {
    return this.#moduleSha256;
  }
  /** This player's slot; `undefined` before the welcome, and for a spectator. */
  get slot(): number | undefined {
    return this.#slot;
  }
  get phase(): "joining" | "waiting" | "running" | "ended" {
    switch (this.#phase) {
      case Phase.WAITING:
        return "waiting";
      case Phase.RUNNING:
        return "running";
      case Phase.ENDED:
        return "ended";
      default:
        return "joining";
    }
  }
  /** The players, ascending by slot. */
  get players(): MatchPlayer[] {
    return [...this.#players.values()].sort((a, b) => a.slot - b.slot);
  }
  get result(): MatchResult | undefined {
    return this.#result;
  }
  get epoch(): bigint {
    return this.#epoch;
  }
  /** The newest tick of which there is state; 0: none. */
  get tick(): number {
    return this.#world?.newestTick ?? 0;
  }
  /** Round trip to the authority and back in ms, smoothed; `undefined` until measured. */
  get roundTripMs(): number | undefined {
    return this.#roundTrip;
  }
  /** How early inputs arrive before their tick, in ticks; `undefined` until reported. */
  get marginTicks(): number | undefined {
    return this.#inputClock.margin;
  }
  /** When the last state arrived, in the caller's milliseconds. */
  get stateAtMs(): number | undefined {
    return this.#stateAt;
  }
  /** When the authority was last heard, in the caller's milliseconds. */
  get heardAtMs(): number | undefined {
    return this.#heardAt;
  }
  /**
   * When the authority last showed that it hears this player, in the caller's milliseconds; counts
   * from the first state after a silence.
   */
  get answeredAtMs(): number | undefined {
    return this.#answeredAt;
  }
  /** The entities' recent past, for {@link World.columns}; from the first welcome on. */
  get world(): World | undefined {
    return this.#world;
  }

  /** The transport is up (again): packets may have been lost on the way, so say hello. */
  handleConnected(): void {
    this.#askForWelcome();
    // A match stands still while its authority is cut off as well: what was made meanwhile is for
    // ticks that come much later, and would hold up what is made now.
    this.#frames = [];
    this.#playback.handleConnected();
    this.#inputClock.handleConnected();
  }

  /** A packet arrived; `identity` is the sender's as LiveKit vouches for it. */
  handleData(
    identity: string | undefined,
    topic: string | undefined,
    payload: Uint8Array,
    nowMs: number,
  ): void {
    if (topic !== "state" && topic !== "events" && topic !== "chat") {
      return;
    }
    // Any participant can publish on any topic to anyone: only the authority speaks for the match.
    if (identity !== AUTHORITY) {
      this.counters.foreign += 1;
      return;
    }
    try {
      if (topic === "state") {
        this.#handleState(fromBinary(StateUpdateSchema, payload), nowMs);
      } else if (topic === "events") {
        this.#handleEvent(fromBinary(ServerEventSchema, payload), nowMs);
      } else {
        this.#handleChat(payload);
      }
    } catch {
      this.counters.malformed += 1;
    }
  }

  /** Time has passed: makes the inputs and heartbeats that are due. Call it each half tick. */
  handleTimeout(nowMs: number): void {
    if (
      this.#wantsWelcome &&
      (this.#helloAt === undefined || nowMs - this.#helloAt >= HELLO_EVERY_MS)
    ) {
      this.#helloAt = nowMs;
      this.#transmit(
        "events",
        true,
        toBinary(
          ClientEventSchema,
          create(ClientEventSchema, {
            version: VERSION,
            body: { case: "hello", value: {} },
          }),
        ),
      );
    }
    if (this.#manifest === undefined) {
      return;
    }
    const made = this.#makeFrames(nowMs);
    if (made || nowMs - this.#sentAt >= HEARTBEAT_MS) {
      this.#sendInput(nowMs);
    }
  }

  /**
   * Sends a command of the game.
   *
   * @throws {RangeError} where the game has no such command, or before the welcome.
   */
  command(name: string, fields: Readonly<Record<string, FieldInput>> = {}): void {
    if (this.#manifest === undefined) {
      throw new RangeError("commands can be sent once the match has been joined");
    }
    const data = encodeMessage(this.#manifest.commands, name, fields);
    this.#transmit(
      "events",
      true,
      toBinary(
        ClientEventSchema,
        create(ClientEventSchema, {
          version: VERSION,
          body: { case: "command", value: { data } },
        }),
      ),
    );
  }

  /** Gives the match up. */
  leave(): void {
    this.#transmit(
      "events",
      true,
      toBinary(
        ClientEventSchema,
        create(ClientEventSchema, {
          version: VERSION,
          body: { case: "leave", value: {} },
        }),
      ),
    );
  }

  /** Says something; cut at 500 bytes. */
  chat(text: string): void {
    const buffer = new Uint8Array(MAX_CHAT_BYTES);
    const { read } = new TextEncoder().encodeInto(text, buffer);
    this.#transmit(
      "chat",
      true,
      toBinary(
        ChatMessageSchema,
        create(ChatMessageSchema, {
          version: VERSION,
          text: text.slice(0, read),
        }),
      ),
    );
  }

  /** The entities as they are to be drawn at `nowMs`. */
  view(nowMs: number): Entity[] {
    const tick = this.viewTick(nowMs);
    return tick === undefined ? [] : (this.#world?.view(tick) ?? []);
  }

  /** The tick that is drawn at `nowMs`, fractional; `undefined` before the first state. */
  viewTick(nowMs: number): number | undefined {
    if (this.#world === undefined || !this.#playback.started) {
      return undefined;
    }
    return Math.max(this.#world.oldestTick, this.#playback.advance(nowMs));
  }

  /** The next packet to publish. */
  pollTransmit(): Transmit | undefined {
    return this.#transmits.shift();
  }

  /** The next thing that happened. */
  pollEvent(): CoreEvent | undefined {
    return this.#events.shift();
  }

  #handleState(update: StateUpdate, nowMs: number): void {
    if (update.version !== VERSION) {
      this.counters.unknownVersion += 1;
      return;
    }
    if (!this.#acceptEpoch(update.epoch)) {
      return;
    }
    this.#heardAt = nowMs;
    const world = this.#world;
    if (world === undefined) {
      return;
    }
    if (update.body.case === "snapshot") {
      const { firstId, lastId, data } = update.body.value;
      const outcome = world.apply(update.tick, firstId, lastId, data);
      if (outcome === "malformed") {
        this.counters.malformed += 1;
        return;
      }
      if (outcome === "stale") {
        this.counters.stale += 1;
      } else {
        this.counters.states += 1;
        if (this.#stateAt === undefined || nowMs - this.#stateAt > SILENCE_MS) {
          this.#answeredAt = nowMs;
        }
        this.#stateAt = nowMs;
        this.#playback.handleState(update.tick, nowMs);
      }
    }
    const mine = update.slots.find((status) => status.slot === this.#slot);
    if (mine !== undefined) {
      if (mine.inputTick > this.#usedTick) {
        this.#usedTick = mine.inputTick;
        this.#frames = this.#frames.filter((frame) => frame.tick > mine.inputTick);
      }
      // One packet is echoed until the next arrives: only the first echo of it is a measurement.
      if (mine.echoMs !== this.#echo && mine.echoMs !== 0) {
        this.#echo = mine.echoMs;
        this.#answeredAt = nowMs;
        const trip = ((nowMs >>> 0) - mine.echoMs - mine.echoAgeMs) | 0;
        if (trip >= 0 && trip < MAX_ROUND_TRIP_MS) {
          this.#roundTrip =
            this.#roundTrip === undefined ? trip : this.#roundTrip + (trip - this.#roundTrip) * 0.1;
        }
        this.#inputClock.handleMargin(mine.inputTick, mine.margin / 256, nowMs);
      }
    }
  }

  #handleEvent(event: ServerEvent, nowMs: number): void {
    if (event.version !== VERSION) {
      this.counters.unknownVersion += 1;
      return;
    }
    if (!this.#acceptEpoch(event.epoch)) {
      return;
    }
    this.#heardAt = nowMs;
    const body = event.body;
    if (body.case === "welcome") {
      this.#handleWelcome(body.value);
      this.#sequence = event.sequence;
      return;
    }
    if (this.#manifest === undefined || event.sequence <= this.#sequence) {
      return;
    }
    if (event.sequence > this.#sequence + 1 && !this.#wantsWelcome) {
      this.counters.gaps += 1;
      this.#askForWelcome();
    }
    this.#sequence = event.sequence;
    switch (body.case) {
      case "started":
        this.#phase = Phase.RUNNING;
        this.#push({ type: "started", tick: body.value.tick });
        break;
      case "player":
        if (body.value.player !== undefined) {
          this.#push({ type: "player", player: this.#setPlayer(body.value.player) });
        }
        break;
      case "game":
        for (const bytes of body.value.events.slice(0, MAX_EVENTS)) {
          const decoded = decodeMessage(this.#manifest.events, bytes);
          if (decoded === undefined) {
            this.counters.malformed += 1;
          } else {
            this.#push({ type: "event", event: { ...decoded, tick: body.value.tick } });
          }
        }
        break;
      case "ended":
        this.#handleEnded(body.value);
        break;
      case "refused":
        this.#push({ type: "refused", what: body.value.what, reason: body.value.reason });
        break;
      default:
        break;
    }
  }

  #handleWelcome(welcome: Welcome): void {
    const manifest = parseManifest(welcome.manifest);
    if (
      this.#manifest === undefined ||
      this.#moduleSha256 !== welcome.moduleSha256 ||
      this.#matchId !== welcome.matchId
    ) {
      const rate = Math.min(MAX_TICK_RATE, welcome.tickRate || manifest.tickRate);
      this.#manifest = { ...manifest, tickRate: rate };
      this.#resetState();
    }
    this.#moduleSha256 = welcome.moduleSha256;
    this.#matchId = welcome.matchId;
    this.#game = welcome.game;
    this.#slot = welcome.slot;
    this.#phase = welcome.phase;
    this.#wantsWelcome = false;
    this.#players.clear();
    for (const player of welcome.players.slice(0, MAX_SLOTS)) {
      this.#setPlayer(player);
    }
    this.#push({ type: "welcome" });
    if (welcome.ended !== undefined) {
      this.#handleEnded(welcome.ended);
    }
  }

  #handleEnded(ended: MatchEnded): void {
    const first = this.#result === undefined || this.#result.stored !== ended.stored;
    this.#phase = Phase.ENDED;
    this.#frames = [];
    this.#result = {
      outcome:
        ended.outcome === Outcome.FINISHED
          ? "finished"
          : ended.outcome === Outcome.VOID
            ? "void"
            : "abandoned",
      reason: ended.reason,
      slots: ended.slots.slice(0, MAX_SLOTS).map((slot) => ({
        slot: slot.slot,
        placement: slot.placement,
        team: slot.team,
        score: slot.score,
        statistics: Object.fromEntries(slot.statistics.map((s) => [s.name, s.value])),
      })),
      stored: ended.stored,
    };
    if (first) {
      this.#push({ type: "result", result: this.#result });
    }
  }

  #handleChat(payload: Uint8Array): void {
    const message = fromBinary(ChatMessageSchema, payload);
    if (message.version !== VERSION) {
      this.counters.unknownVersion += 1;
      return;
    }
    this.#push({
      type: "chat",
      line: {
        slot: message.slot,
        username: message.username,
        text: message.text.slice(0, MAX_CHAT_BYTES),
        sentAt: new Date(Number(message.sentAtMs)),
      },
    });
  }

  #askForWelcome(): void {
    this.#wantsWelcome = true;
    this.#helloAt = undefined;
  }

  /** Whether a packet of this epoch counts. A higher one is another holder of the room. */
  #acceptEpoch(epoch: bigint): boolean {
    if (epoch < this.#epoch) {
      this.counters.oldEpoch += 1;
      return false;
    }
    if (epoch > this.#epoch) {
      const hadOne = this.#epoch !== 0n;
      this.#epoch = epoch;
      this.#sequence = 0;
      if (hadOne) {
        this.#resetState();
        this.#askForWelcome();
      }
    }
    return true;
  }

  #resetState(): void {
    if (this.#manifest === undefined) {
      return;
    }
    this.#world = new World(this.#manifest);
    this.#playback = new PlaybackClock(this.#manifest.tickRate);
    this.#inputClock = new InputClock(this.#manifest.tickRate);
    this.#frames = [];
    this.#usedTick = 0;
    this.#echo = -1;
  }

  #setPlayer(player: Player): MatchPlayer {
    const known: MatchPlayer = {
      slot: player.slot,
      playerId: player.playerId,
      username: player.username,
      team: player.team,
      presence: PRESENCE[player.presence] ?? "expected",
    };
    if (this.#players.has(player.slot) || this.#players.size < MAX_SLOTS) {
      this.#players.set(player.slot, known);
    }
    return known;
  }

  /** Asks for the inputs that are due; whether there were any. */
  #makeFrames(nowMs: number): boolean {
    const manifest = this.#manifest;
    if (
      manifest === undefined ||
      this.input === undefined ||
      manifest.input.length === 0 ||
      this.#slot === undefined ||
      this.#phase !== Phase.RUNNING ||
      !this.#playback.current ||
      // A silent server has not moved on: inputs made now would be for ticks far ahead of it.
      (this.#stateAt !== undefined && nowMs - this.#stateAt > SILENCE_MS)
    ) {
      return false;
    }
    const arriving = this.#playback.estimate(nowMs);
    const due = this.#inputClock.due(arriving, this.#roundTrip ?? FIRST_ROUND_TRIP_MS, nowMs);
    for (const tick of due) {
      this.#frames.push({ tick, data: encodeInput(manifest.input, this.input(tick)) });
    }
    if (this.#frames.length > MAX_FRAMES) {
      this.#frames.splice(0, this.#frames.length - MAX_FRAMES);
    }
    return due.length > 0;
  }

  #sendInput(nowMs: number): void {
    this.#sentAt = nowMs;
    let budget = MAX_INPUT_BYTES;
    let first = this.#frames.length;
    while (first > 0) {
      budget -= this.#frames[first - 1].data.length + FRAME_OVERHEAD_BYTES;
      if (budget < 0) {
        break;
      }
      first -= 1;
    }
    const viewed = this.viewTick(nowMs);
    this.#transmit(
      "input",
      false,
      toBinary(
        PlayerInputSchema,
        create(PlayerInputSchema, {
          version: VERSION,
          frames: this.#frames.slice(first),
          ackTick: this.tick,
          viewTick: viewed === undefined ? 0 : Math.max(0, Math.round(viewed * 256)) >>> 0,
          sentMs: nowMs >>> 0,
        }),
      ),
    );
  }

  #transmit(topic: Transmit["topic"], reliable: boolean, payload: Uint8Array): void {
    if (this.#transmits.length < MAX_QUEUE) {
      this.#transmits.push({ topic, reliable, payload });
    }
  }

  #push(event: CoreEvent): void {
    if (this.#events.length < MAX_QUEUE) {
      this.#events.push(event);
    }
  }
}

const PRESENCE: Partial<Record<Presence, MatchPlayer["presence"]>> = {
  [Presence.EXPECTED]: "expected",
  [Presence.PRESENT]: "present",
  [Presence.LOST]: "lost",
  [Presence.GONE]: "gone",
};

const VERSION = 1;
/** Reliable, so once would do but for a room that the authority has yet to join. */
const HELLO_EVERY_MS = 500;
/** Presence comes from these: four in the second after which silence is noticed. */
const HEARTBEAT_MS = 250;
/** Of the wire contract: at most 16 frames and 1,000 bytes a packet. */
const MAX_FRAMES = 16;
const MAX_INPUT_BYTES = 1000 - 32;
/** Tags, lengths and a five-byte tick of a frame. */
const FRAME_OVERHEAD_BYTES = 11;
const MAX_CHAT_BYTES = 500;
const MAX_EVENTS = 256;
const MAX_SLOTS = 64;
const MAX_TICK_RATE = 120;
/** What is not fetched within this many is lost: the caller drains after every call. */
const MAX_QUEUE = 1024;
const SILENCE_MS = 1000;
const FIRST_ROUND_TRIP_MS = 80;
const MAX_ROUND_TRIP_MS = 10_000;
