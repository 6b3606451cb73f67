import { expect, test } from "vitest";
import { readHistory } from "../src/history.js";

const row = {
  slot: 1,
  player_id: "p",
  username: "Ann",
  team: null,
  placement: 1,
  score: 3,
  statistics: { kills: 3 },
};

test("an ended match of the history is shown as a result", () => {
  const read = readHistory({ outcome: "finished", reason: null, players: [row] });
  expect(read?.result).toEqual({
    outcome: "finished",
    reason: "",
    stored: true,
    slots: [{ slot: 1, placement: 1, team: undefined, score: 3, statistics: { kills: 3 } }],
  });
  expect(read?.players).toEqual([{ slot: 1, playerId: "p", username: "Ann" }]);
});

test("a match that runs, or has no results, shows none", () => {
  expect(readHistory({ outcome: null, players: [row] })).toBeUndefined();
  expect(readHistory({ outcome: "finished" })).toBeUndefined();
  const left = { ...row, placement: null, score: null, statistics: null };
  expect(readHistory({ outcome: "abandoned", players: [left] })?.result.slots).toEqual([]);
});
