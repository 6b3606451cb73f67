import type { MatchResult } from "@gameserver/sdk";

/** A match of the history as a result; `undefined` where it has not ended. */
export function readHistory(match: Readonly<Record<string, unknown>>):
  | {
      readonly result: MatchResult;
      readonly players: { slot: number; playerId: string; username: string }[];
    }
  | undefined {
  const { outcome, players } = match as { outcome?: unknown; players?: unknown };
  if (
    (outcome !== "finished" && outcome !== "abandoned" && outcome !== "void") ||
    !Array.isArray(players)
  ) {
    return undefined;
  }
  const rows = players as Partial<HistoryPlayer>[];
  return {
    result: {
      outcome,
      reason: typeof match.reason === "string" ? match.reason : "",
      stored: true,
      slots: rows
        .filter((row) => typeof row.placement === "number")
        .map((row) => ({
          slot: Number(row.slot),
          placement: Number(row.placement),
          team: row.team ?? undefined,
          score: Number(row.score),
          statistics: row.statistics ?? {},
        })),
    },
    players: rows.map((row) => ({
      slot: Number(row.slot),
      playerId: String(row.player_id),
      username: row.username ?? "",
    })),
  };
}

interface HistoryPlayer {
  slot: number;
  player_id: string;
  username: string;
  team: number | null;
  placement: number | null;
  score: number | null;
  statistics: Record<string, number> | null;
}
