import { ApiError, MatchmakingError, type Party } from "@gameserver/sdk";

/** What went wrong, for the player. */
export function describe(error: unknown, party?: Party): string {
  if (error instanceof ApiError) {
    const who = party?.members.find((member) => member.player_id === error.problem.player_id);
    const text = error.kind === "already-queued" && who ? QUEUED(who.username) : KINDS[error.kind];
    return text ?? error.errors[0]?.message ?? (error.detail || error.title);
  }
  if (error instanceof MatchmakingError) {
    const text = error.message;
    return error.status === "timed_out"
      ? "Nobody else came. Try again, or play a friend."
      : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  }
  return error instanceof Error ? error.message : String(error);
}

const QUEUED = (name: string): string =>
  `${name} is queued for this game already, and has to leave that queue first.`;
const KINDS: Readonly<Record<string, string>> = {
  "not-the-leader": "Only the party's leader starts a match.",
  "party-changed": "Somebody joined or left the party just now. Try again.",
  "party-full": "This party is full.",
  "already-in-party": "You are in a party already. Leave it first.",
};
