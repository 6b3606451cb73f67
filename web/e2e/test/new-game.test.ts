import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player } from "./browser.js";
import { BIN, ROOT, Server, until } from "./server.js";

const GAME = "e2e-coins";
/** The first build of a checkout compiles the standard library too. */
const BUILD_MS = 400_000;

let server: Server;
let browser: Browser;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gameserver-new-"));
  const run = promisify(execFile);
  await run(BIN, ["new", GAME, "--in", folder, "--sdk", join(ROOT, "crates/game-sdk")]);
  await run("cargo", ["xtask", "game", join(folder, GAME)], { cwd: ROOT });
  const games = join(folder, "games");
  mkdirSync(games);
  // A build's place is among the games that the checkout serves: this one does not stay there.
  const built = join(ROOT, "target/games", `${GAME}.wasm`);
  copyFileSync(built, join(games, `${GAME}.wasm`));
  rmSync(built);
  server = await Server.serve(games);
  browser = await launch();
}, BUILD_MS);
afterAll(async () => {
  await browser?.close();
  await server?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test("a new game builds and is played in the demo's plain viewer", async () => {
  const ann = await Player.open(browser, server.url);
  await ann.choose("Ann", "#play", GAME);
  await ann.screen("match");
  const slot = await until("the match runs", async () =>
    (await ann.phase()) === "running" ? ann.slot() : undefined,
  );
  const dot = () =>
    ann.page.evaluate((owner) => {
      const mine = window.gameserver.session?.view().find((entity) => entity.owner === owner);
      return mine && { x: Number(mine.fields.x), y: Number(mine.fields.y) };
    }, slot);
  const before = await until("the dot is there", dot);
  // The field is 20 wide and 12 high: towards the middle there is room.
  const keys = [before.x < 10 ? "KeyD" : "KeyA", before.y < 6 ? "KeyS" : "KeyW"];
  await ann.hold(...keys);
  await until("the dot moves both ways", async () => {
    const now = await dot();
    return now && Math.abs(now.x - before.x) > 1 && Math.abs(now.y - before.y) > 1;
  });
  await ann.screenshot("new-game");
  await ann.hold();

  // And what the viewer shows is the game's own state.
  expect(await ann.page.textContent(".generic-table")).toContain("coins");
});
