export type { Account, SessionStore } from "./account.js";
export { memoryStore } from "./account.js";
export { BitReader } from "./bits.js";
export { InputClock, PlaybackClock } from "./clock.js";
export {
  decodeMessage,
  encodeInput,
  encodeMessage,
  type FieldInput,
  type GameEvent,
} from "./codec.js";
export {
  AUTHORITY,
  type ChatLine,
  type CoreEvent,
  type Counters,
  type InputSource,
  MatchCore,
  type MatchPlayer,
  type MatchResult,
  type SlotOutcome,
  type Transmit,
} from "./core.js";
export {
  type Game,
  GameServer,
  type GameServerOptions,
  type LeaderboardPage,
  type QueueOptions,
  type Stats,
} from "./gameserver.js";
export { ApiError, type Fetch, type FieldError } from "./http.js";
export {
  type Column,
  type EntityKind,
  type Field,
  type Manifest,
  ManifestError,
  type MessageSchema,
  type NetField,
  parseManifest,
} from "./manifest.js";
export {
  type CloseReason,
  isMatchOver,
  type JoinOptions,
  MatchSession,
  type RoomToken,
  type SessionEvents,
  type SessionStats,
  type SessionStatus,
} from "./session.js";
export {
  decodeSnapshot,
  type FieldValue,
  fieldValue,
  fieldValues,
  interpolateField,
  type SnapshotEntity,
} from "./snapshot.js";
export {
  type Match,
  type MatchedPlayer,
  MatchmakingError,
  Ticket,
  type TicketStatus,
  type WaitOptions,
} from "./ticket.js";
export { type Applied, type Entity, World } from "./world.js";
