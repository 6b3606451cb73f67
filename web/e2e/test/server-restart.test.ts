import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, type Player, pair, seesMove } from "./browser.js";
import { Server } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 120, score_limit: 10 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

const ENDINGS = {
  killed: () => server.kill(),
  "ended in order": () => server.end(),
};

for (const [how, stop] of Object.entries(ENDINGS)) {
  test(`a server that is ${how} in mid-match leaves its players a way on`, async () => {
    const players = await pair(browser, server.url);
    const matchId = await players[0].matchId();
    await seesMove(players[1], players[0]);

    await stop();
    await server.restart();
    await Promise.all(players.map((player) => told(player)));
    await players[0].screenshot(`server-${how.replaceAll(" ", "-")}`);
    const kept = await server.get<{ outcome: string }>(`/matches/${matchId}`);
    expect(kept.outcome).toBe("void");

    await Promise.all(players.map((player) => player.page.click("#again")));
    await Promise.all(players.map((player) => player.playing()));
    expect(await players[0].matchId()).not.toBe(matchId);
    await seesMove(players[1], players[0]);
    await Promise.all(players.map((player) => player.page.context().close()));
  });
}

/** The match is void because of the server, and the page says so. */
async function told(player: Player): Promise<void> {
  await player.screen("result", 45_000);
  expect(await player.page.textContent(".reason")).toContain("server");
}
