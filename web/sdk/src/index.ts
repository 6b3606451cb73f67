export type { Account, SessionStore } from "./account.js";
export { memoryStore } from "./account.js";
export {
  decodeMessage,
  encodeInput,
  encodeMessage,
  type FieldInput,
  type GameEvent,
} from "./codec.js";
export {
  AUTHORITY,
  type AuthorityMode,
  type ChatLine,
  type CoreEvent,
  type CoreOptions,
  type CoreStats,
  type Counters,
  type Difference,
  type Emulation,
  type InputSource,
  MatchCore,
  type MatchPlayer,
  type MatchResult,
  type Report,
  type SlotOutcome,
  type Transmit,
} from "./core.js";
export {
  type AttributeValue,
  type Game,
  GameServer,
  type GameServerOptions,
  type LeaderboardPage,
  type QueueOptions,
  type Stats,
} from "./gameserver.js";
export { ApiError, type Fetch, type FieldError, type ProblemKind } from "./http.js";
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
export { ModuleCache, ModuleError, ModuleInstance } from "./module.js";
export { Parties, type Party, type PartyMember, type WatchOptions } from "./parties.js";
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
  type Acceptance,
  type Exclusion,
  type Explanation,
  type Match,
  type MatchedPlayer,
  MatchmakingError,
  Ticket,
  type TicketStatus,
  type WaitOptions,
  type Widening,
} from "./ticket.js";
export type { Entity, FieldValue, ViewTable } from "./view.js";
export { type ClientSource, loadClient, stateHash } from "./wasm.js";
