import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ModuleCache, ModuleInstance } from "../../sdk/src/module.js";
import type * as Wasm from "../../sdk/src/wasm.js";
import { launch } from "./browser.js";
import { BIN, GAMES, Server } from "./server.js";

let server: Server;
let browser: Browser;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gameserver-hashes-"));
  server = await Server.serve(GAMES);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** As `gameserver check --hashes` writes it. */
interface Played {
  readonly module_sha256: string;
  readonly matches: readonly {
    readonly seed: string;
    readonly config: unknown;
    readonly ticks: readonly { readonly log: string; readonly hash: string }[];
  }[];
}

test("every game comes to the same states in the browser as on the server", async () => {
  const games = readdirSync(GAMES)
    .filter((name) => name.endsWith(".wasm"))
    .map((name) => name.replace(/\.wasm$/, ""));
  expect(games).toEqual(expect.arrayContaining(["arena", "clash", "tic-tac-toe"]));
  const page = await browser.newPage();
  // The SDK's own modules, without the bundle of the demo around them.
  await page.route("**/sdk/**", (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: join(SDK, pathname.replace("/sdk/", "")) });
  });
  await page.route("**/played/*.json", (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: join(folder, pathname.replace("/played/", "")) });
  });
  await page.goto(server.url);
  for (const game of games) {
    const file = join(folder, `${game}.json`);
    const module = join(GAMES, `${game}.wasm`);
    execFileSync(BIN, ["check", module, "--ticks", String(TICKS), "--hashes", file], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const seen = await page.evaluate(async (id) => {
      // Written so that no tool that reads this file resolves it.
      const load = new Function("url", "return import(url)");
      const sdk = (await load("/sdk/module.js")) as {
        ModuleCache: typeof ModuleCache;
        ModuleInstance: typeof ModuleInstance;
      };
      const { digest, loadClient, stateHash } = (await load("/sdk/wasm.js")) as typeof Wasm;
      await loadClient();
      const played = (await (await fetch(`/played/${id}.json`)).json()) as Played;
      const bytes = (hex: string) =>
        Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
      const cache = new sdk.ModuleCache((url, init) => fetch(url, init), location.origin, digest);
      const module = await cache.get(id, played.module_sha256);
      let same = 0;
      for (const { seed, config, ticks } of played.matches) {
        const instance = await sdk.ModuleInstance.create(module);
        instance.init(BigInt(seed), new TextEncoder().encode(JSON.stringify(config)));
        for (const { log, hash } of ticks) {
          instance.call("gs_step", 0, bytes(log));
          const state = new Uint8Array(instance.call("gs_save", 0));
          instance.read(state);
          const mine = stateHash(state).toString(16).padStart(16, "0");
          if (mine !== hash) {
            return { same, differs: `seed ${seed}: ${mine} after ${log.slice(0, 8)}, not ${hash}` };
          }
          same += 1;
        }
      }
      return { same, differs: "" };
    }, game);
    expect(seen, game).toEqual({ same: TICKS, differs: "" });
  }
});

const SDK = resolve(import.meta.dirname, "../../sdk/dist");
/** Ten seconds of play, of as many players as each game takes. */
const TICKS = 600;
