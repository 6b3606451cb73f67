import type { TicketStatus } from "@gameserver/sdk";
import { expect, test } from "vitest";
import { explain } from "../src/explain.js";

const queued = (more: Partial<TicketStatus>): TicketStatus => ({
  ticket_id: "t",
  status: "queued",
  waited_ms: 1000,
  ...more,
});

test("the server's sentence leads, and the figures follow", () => {
  const status = queued({
    reason: "nobody within 100 points of 1500 waits",
    tolerance: 100,
    next_widening: { in_ms: 4600, tolerance: 200, rule: "skill" },
    players_waiting: 3,
    players_fitting: 1,
    excluded_by: { rule: "skill", players: 2 },
  });
  expect(explain(status, 0)).toEqual({
    headline: "nobody within 100 points of 1500 waits",
    lines: [
      "3 others wait · 1 fits",
      "Players within 100 points of you",
      "Widens to 200 points in 5 s",
    ],
  });
  const { reason: _, ...silent } = status;
  expect(explain(silent, 0).lines[1]).toBe("2 are of another skill");
});

test("what is to come is counted down, and never below now", () => {
  const status = queued({
    players_waiting: 1,
    tolerance: 100,
    next_widening: { in_ms: 4600, rule: "skill" },
  });
  const last = (passed: number) => explain(status, passed).lines.at(-1);
  expect(last(0)).toBe("Players of any skill in 5 s");
  expect(last(3700)).toBe("Players of any skill in 1 s");
  expect(last(4600)).toBe("Players of any skill now");
  expect(last(9000)).toBe("Players of any skill now");
});

test("each rule that keeps players away, or gives way, has words", () => {
  const line = (rule: string, players: number) =>
    explain(queued({ players_waiting: 9, players_fitting: 0, excluded_by: { rule, players } }), 0)
      .lines[1];
  expect(line("latency", 1)).toBe("1 is too far away");
  expect(line("latency", 2)).toBe("2 are too far away");
  expect(line("party", 4)).toBe("4 wait in parties that do not fit");
  expect(line("attributes.game_map", 2)).toBe("2 differ by game map");
  const widens = (rule: string) =>
    explain(queued({ players_waiting: 0, next_widening: { in_ms: 2000, rule } }), 0).lines;
  expect(widens("latency")).toEqual([
    "Nobody else waits yet",
    "Widens to players farther away in 2 s",
  ]);
  expect(widens("players").at(-1)).toBe("A match with fewer players in 2 s");
  const fewer = { in_ms: 2000, rule: "players", tolerance: 3 };
  const smaller = explain(queued({ players_waiting: 0, next_widening: fewer }), 0).lines;
  expect(smaller.at(-1)).toBe("A match of 3 players in 2 s");
  expect(widens("attributes.level").at(-1)).toBe("Widens by level in 2 s");
});

test("a server that explains nothing is no trouble, nor is a ticket that does not wait", () => {
  expect(explain(queued({}), 0)).toEqual({ headline: "", lines: [] });
  expect(explain(queued({ players_waiting: 0 }), 0)).toEqual({
    headline: "Waiting for others to come",
    lines: ["Nobody else waits yet"],
  });
  const placing = queued({ status: "placing", players_waiting: 2 });
  expect(explain(placing, 0).lines).toEqual([]);
});
