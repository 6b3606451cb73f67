import type { Match, MatchPlayer } from "@gameserver/sdk";
import { expect, test } from "vitest";
import { named, nameOf, OPEN, ratingOf } from "../src/games/view.js";

const player = (slot: number, playerId: string, open = false): MatchPlayer => ({
  slot,
  playerId,
  username: playerId.toUpperCase(),
  team: 0,
  presence: open ? "gone" : "present",
  open,
});
const match = {
  players: [
    { player_id: "ann", username: "ANN", team: null, rating: 1512.4 },
    { player_id: "bob", username: "BOB", team: null, rating: null },
  ],
} as unknown as Match;

test("names and ratings follow a slot whose player changes", () => {
  const before = { match, players: [player(0, "ann"), player(1, "bob")] };
  expect([nameOf(before, 0), ratingOf(before, 0)]).toEqual(["ANN", 1512.4]);
  expect([nameOf(before, 1), ratingOf(before, 1)]).toEqual(["BOB", undefined]);

  const left = { match, players: [player(0, "", true), player(1, "bob")] };
  expect([nameOf(left, 0), ratingOf(left, 0)]).toEqual([OPEN, undefined]);

  const taken = { match, players: [player(0, "eve"), player(1, "bob")] };
  expect([nameOf(taken, 0), ratingOf(taken, 0)]).toEqual(["EVE", undefined]);
  expect(nameOf(taken, 7)).toBe("Player 8");
});

test("a rating stands behind a name where there is one", () => {
  expect(named("Ann", 1512.4)).toBe("Ann (1512)");
  expect(named("Ann", null)).toBe("Ann");
});
