import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 60, score_limit: 10 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("a game of commands is played to its end on two boards", async () => {
  const players = [
    await Player.open(browser, server.url),
    await Player.open(browser, server.url),
  ] as const;
  await players[0].choose("Ann", "#play", "tic-tac-toe");
  await players[0].screen("waiting");
  await players[1].choose("Bob", "#play", "tic-tac-toe");
  await Promise.all(players.map((p) => p.screen("match")));
  const slots = await Promise.all(players.map((p) => p.slot()));
  expect([...slots].sort()).toEqual([0, 1]);
  const [crosses, noughts] = slots[0] === 0 ? players : [players[1], players[0]];

  const moves = [0, 3, 1, 4, 2];
  for (const [i, cell] of moves.entries()) {
    const [mover, other] = i % 2 === 0 ? [crosses, noughts] : [noughts, crosses];
    await mover.page.click(`[data-cell="${cell}"]:not([disabled])`);
    if (i < moves.length - 1) {
      await other.page.waitForSelector(`[data-cell="${cell}"][data-mark="${"✕◯"[i % 2]}"]`);
    }
    if (i === 2) {
      await noughts.screenshot("tic-tac-toe");
    }
  }
  await Promise.all(players.map((p) => p.screen("result")));
  const placements = await until("the result is known", () =>
    noughts.page.evaluate(() =>
      window.gameserver.session?.result?.slots.map((s) => [s.slot, s.placement]),
    ),
  );
  expect(placements).toEqual([
    [0, 1],
    [1, 2],
  ]);
});
