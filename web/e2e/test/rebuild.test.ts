import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Game } from "@gameserver/sdk";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player, seesMove } from "./browser.js";
import { moduleOf, Server, until } from "./server.js";

const OLD = readFileSync(moduleOf("tic-tac-toe"));
const NEW = readFileSync(moduleOf("arena"));
const GAME = "duel";

let server: Server;
let browser: Browser;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gameserver-games-"));
  copyFileSync(moduleOf("tic-tac-toe"), join(folder, `${GAME}.wasm`));
  server = await Server.serve(folder);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test("a rebuilt module is in the next match, and the one under way ends with its own", async () => {
  expect((await served()).sha256).toBe(sha256(OLD));
  // A private match: its winner and its loser meet again at once, whatever their ratings are.
  const ann = await Player.open(browser, server.url);
  await ann.choose("Ann", "#friend", GAME);
  await ann.screen("waiting");
  const bob = await Player.open(browser, await ann.page.inputValue("#link"));
  await bob.choose("Bob", "#play", GAME);
  const players = [ann, bob] as const;
  await Promise.all(players.map((p) => p.screen("match")));
  const [crosses, noughts] =
    (await players[0].slot()) === 0 ? players : ([players[1], players[0]] as const);
  await move(crosses, noughts, 0, "✕");

  rebuild(NEW);
  const rebuilt = await until("the new module is served", async () => {
    const module = await served();
    return module.sha256 !== sha256(OLD) ? module : undefined;
  });
  expect(rebuilt.sha256).toBe(sha256(NEW));
  expect(await download(rebuilt.url)).toEqual(sha256(NEW));

  // Who comes back into the match is told of its module, and can still get it.
  await noughts.page.reload();
  await noughts.screen("match");
  expect(await noughts.moduleSha256()).toBe(sha256(OLD));
  expect(await download(`/games/${GAME}/module/${sha256(OLD)}`)).toBe(sha256(OLD));

  rebuild(Buffer.from("\0asm, but no module"));
  await until("the broken module is refused", () => server.log.includes("module is refused"));
  expect((await served()).sha256).toBe(sha256(NEW));

  await move(noughts, crosses, 3, "◯");
  await move(crosses, noughts, 1, "✕");
  await move(noughts, crosses, 4, "◯");
  await crosses.page.click('[data-cell="2"]:not([disabled])');
  const results = await Promise.all(players.map((p) => p.storedResult()));
  expect(results[0]).toEqual(results[1]);
  expect(results[0].outcome).toBe("finished");
  expect(results[0].slots.map((s) => [s.slot, s.placement])).toEqual([
    [0, 1],
    [1, 2],
  ]);

  await Promise.all(players.map((p) => p.screen("result")));
  await Promise.all(players.map((p) => p.page.click("#again")));
  await Promise.all(players.map((p) => p.playing()));
  expect(await players[0].matchId()).toBe(await players[1].matchId());
  expect(await players[0].moduleSha256()).toBe(sha256(NEW));
  await seesMove(players[1], players[0]);
  await players[0].screenshot("generic-arena");
});

async function move(mover: Player, other: Player, cell: number, mark: string): Promise<void> {
  await mover.page.click(`[data-cell="${cell}"]:not([disabled])`);
  await other.page.waitForSelector(`[data-cell="${cell}"][data-mark="${mark}"]`);
}

/** Puts a module in its place as a build does: whole, under another name first. */
function rebuild(module: Buffer): void {
  const file = join(folder, `${GAME}.wasm`);
  writeFileSync(`${file}.new`, module);
  renameSync(`${file}.new`, file);
}

async function served(): Promise<Game["module"]> {
  const { games } = await server.get<{ games: Game[] }>("/games");
  expect(games.map((game) => game.id)).toEqual([GAME]);
  return games[0].module;
}

/** The hash of what is answered there. */
async function download(path: string): Promise<string> {
  const response = await fetch(new URL(path, server.url));
  expect(response.status).toBe(200);
  return sha256(Buffer.from(await response.arrayBuffer()));
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
