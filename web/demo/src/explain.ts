import type { TicketStatus } from "@gameserver/sdk";

/** Why one waits, in words. */
export interface Words {
  /** The sentence that says it all. */
  readonly headline: string;
  /** The figures behind it, each a few words. */
  readonly lines: readonly string[];
}

/**
 * Says why a ticket waits. `passedMs` have passed since the server said so, and what is to come is
 * counted down by them.
 */
export function explain(status: TicketStatus, passedMs: number): Words {
  const waiting = status.players_waiting;
  if (status.status !== "queued" || waiting === undefined) {
    return { headline: status.reason ?? "", lines: [] };
  }
  const fitting = status.players_fitting ?? 0;
  const { next_widening: widening, excluded_by: excluded, tolerance } = status;
  const lines = [
    waiting === 0
      ? "Nobody else waits yet"
      : `${count(waiting, "other waits", "others wait")} · ${fitting === 0 ? "none fits" : count(fitting, "fits", "fit")}`,
    // The server's sentence says it too.
    status.reason === undefined && excluded !== undefined && excluded.players > 0
      ? `${excluded.players} ${kept(excluded.rule, excluded.players)}`
      : "",
    tolerance !== undefined
      ? `Players within ${Math.round(tolerance)} points of you`
      : widening?.rule === "skill"
        ? "Players of about your skill"
        : "",
    widening === undefined
      ? ""
      : widens(widening.rule, widening.tolerance, widening.in_ms - passedMs),
  ];
  return {
    headline:
      status.reason ?? (waiting === 0 ? "Waiting for others to come" : "Looking for players"),
    lines: lines.filter((line) => line !== ""),
  };
}

function widens(rule: string, tolerance: number | undefined, leftMs: number): string {
  const when = leftMs > 0 ? `in ${Math.ceil(leftMs / 1000)} s` : "now";
  if (rule === "skill") {
    return tolerance === undefined
      ? `Players of any skill ${when}`
      : `Widens to ${Math.round(tolerance)} points ${when}`;
  }
  if (rule === "players") {
    return tolerance === undefined
      ? `A match with fewer players ${when}`
      : `A match of ${tolerance} players ${when}`;
  }
  return `Widens ${LIMITS[rule] ?? `by ${attribute(rule)}`} ${when}`;
}

function kept(rule: string, players: number): string {
  const one = players === 1;
  switch (rule) {
    case "skill":
      return one ? "is of another skill" : "are of another skill";
    case "latency":
      return one ? "is too far away" : "are too far away";
    case "party":
      return one ? "waits in a party that does not fit" : "wait in parties that do not fit";
    case "code":
      return one ? "waits for friends" : "wait for friends";
    default:
      return `${one ? "differs" : "differ"} by ${attribute(rule)}`;
  }
}

/** `attributes.map` is the map. */
function attribute(rule: string): string {
  return rule.replace(/^attributes\./, "").replaceAll("_", " ");
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

const LIMITS: Readonly<Record<string, string>> = {
  latency: "to players farther away",
  balance: "to less even teams",
};
