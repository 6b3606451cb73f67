// Two people at the demo: pages of Chromium, each its own player.
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { MatchResult, SessionStats } from "@gameserver/sdk";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { placeCamera } from "../../demo/src/games/arena/camera.js";
import { until } from "./server.js";

/** What the tests use of `window.gameserver`. */
declare global {
  interface Window {
    gameserver: import("../../demo/src/app.js").App;
  }
}

/** A player as a page sees it. */
export interface Seen {
  slot: number;
  x: number;
  y: number;
  score: number;
  health: number;
  alive: boolean;
}

export async function launch(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(`there is no ${executablePath}: apt-get install chromium, or set CHROMIUM`);
  }
  return await chromium.launch({
    executablePath,
    args: [
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // WebRTC on loopback: real addresses instead of mDNS names that nobody resolves here.
      `--disable-features=${["WebRtcHideLocalIpsWithMdns", ...(PAGES === undefined ? [] : FOR_PAGES)].join()}`,
      "--allow-loopback-in-peer-connection",
      // Two pages, one in front: the other must go on drawing as on its owner's machine.
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
    ],
  });
}

/** A page of a player of its own. */
export class Player {
  readonly page: Page;
  readonly #held = new Set<string>();
  readonly #size: { width: number; height: number };

  private constructor(page: Page, size: { width: number; height: number }) {
    this.page = page;
    this.#size = size;
  }

  static async open(
    browser: Browser,
    url: string,
    options: BrowserContextOptions = {},
  ): Promise<Player> {
    const size = options.viewport ?? DESKTOP;
    const context = await browser.newContext({ viewport: size, ...options });
    if (PAGES !== undefined) {
      await servePages(context, PAGES, new URL(url).origin);
    }
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`page: ${error.message}`));
    await page.goto(url);
    return new Player(page, size);
  }

  /** Gives a name, picks a game, and presses a button of the menu. */
  async choose(name: string, button: "#play" | "#friend", game = "arena"): Promise<void> {
    await this.page.waitForSelector("#name");
    await this.page.fill("#name", name);
    if ((await this.page.locator(".cards").count()) > 0) {
      await this.page.locator(`.card:has(input[value="${game}"])`).click();
    }
    await this.page.click(button);
  }

  async screen(name: string, timeoutMs = 30_000): Promise<void> {
    try {
      await this.page.waitForSelector(`body[data-screen="${name}"]`, { timeout: timeoutMs });
    } catch {
      const text = await this.page.evaluate(() => document.body.textContent.slice(0, 400));
      throw new Error(`the screen is not "${name}" after ${timeoutMs} ms, but:\n${text}`);
    }
  }

  /** Something on the page says this. */
  async says(selector: string, text: string, timeoutMs = 15_000): Promise<void> {
    try {
      await this.page.locator(selector, { hasText: text }).first().waitFor({ timeout: timeoutMs });
    } catch {
      const found = await this.page.locator(selector).allTextContents();
      throw new Error(`"${selector}" does not say "${text}", but ${JSON.stringify(found)}`);
    }
  }

  /** In a running match, with entities on the screen. */
  async playing(): Promise<void> {
    await this.screen("match");
    await until("the match runs and this player is seen", async () => {
      const slot = await this.slot();
      return (
        (await this.phase()) === "running" && (await this.players()).some((p) => p.slot === slot)
      );
    });
  }

  /** The hash of the module that the match under way runs on. */
  moduleSha256(): Promise<string> {
    return this.page.evaluate(() => window.gameserver.session?.moduleSha256 ?? "");
  }

  /** The newest tick of which this page has state. */
  tick(): Promise<number> {
    return this.page.evaluate(() => window.gameserver.session?.stats.tick ?? 0);
  }

  /** How the line is, and the page's guesses. */
  stats(): Promise<SessionStats> {
    return this.page.evaluate(() => {
      const { session } = window.gameserver;
      if (session === undefined) {
        throw new Error("there is no match");
      }
      return session.stats;
    });
  }

  /** How the match ended, once that is in the store. */
  storedResult(timeoutMs = 20_000): Promise<MatchResult> {
    return until(
      "the result is stored",
      () =>
        this.page.evaluate(() => {
          const result = window.gameserver.session?.result;
          return result?.stored ? result : undefined;
        }),
      timeoutMs,
    );
  }

  slot(): Promise<number> {
    return this.page.evaluate(() => window.gameserver.session?.slot ?? -1);
  }

  phase(): Promise<string> {
    return this.page.evaluate(() => window.gameserver.session?.phase ?? "none");
  }

  matchId(): Promise<string> {
    return this.page.evaluate(() => window.gameserver.session?.match.match_id ?? "");
  }

  /** The players as this page draws them now. */
  players(): Promise<Seen[]> {
    return this.page.evaluate(() =>
      (window.gameserver.session?.view() ?? [])
        .filter((entity) => entity.kind === "player")
        .map(({ owner, fields: f }) => ({
          slot: owner,
          x: Number(f.x),
          y: Number(f.y),
          score: Number(f.score),
          health: Number(f.health),
          alive: f.alive === true,
        })),
    );
  }

  async sees(slot: number): Promise<Seen | undefined> {
    return (await this.players()).find((p) => p.slot === slot);
  }

  /** Holds exactly these keys. */
  async hold(...keys: string[]): Promise<void> {
    for (const key of [...this.#held].filter((k) => !keys.includes(k))) {
      await this.page.keyboard.up(key);
      this.#held.delete(key);
    }
    for (const key of keys.filter((k) => !this.#held.has(k))) {
      await this.page.keyboard.down(key);
      this.#held.add(key);
    }
  }

  /** One step along the free lanes of the arena's edge to `goalX` on the lowest lane. */
  async walkToLane(goalX: number): Promise<boolean> {
    const me = await this.sees(await this.slot());
    if (me === undefined || !me.alive) {
      await this.hold();
      return false;
    }
    const side = me.x < 20 ? SIDE_LANE : 40 - SIDE_LANE;
    const onLane = me.y > LANE - 1;
    const to = onLane
      ? { x: goalX, y: LANE }
      : Math.abs(me.x - side) < 1
        ? { x: side, y: LANE }
        : { x: side, y: me.y };
    const keys: string[] = [];
    if (Math.abs(to.x - me.x) > NEAR) {
      keys.push(to.x > me.x ? "KeyD" : "KeyA");
    }
    if (Math.abs(to.y - me.y) > NEAR) {
      keys.push(to.y > me.y ? "KeyS" : "KeyW");
    }
    await this.hold(...keys);
    return onLane && keys.length === 0;
  }

  /** Points the mouse at a player, from where this page draws its own. */
  async aimAt(target: Seen): Promise<void> {
    const me = await this.sees(await this.slot());
    if (me === undefined) {
      return;
    }
    const camera = placeCamera(this.#size.width, this.#size.height, me, false);
    const angle = Math.atan2(target.y - me.y, target.x - me.x);
    await this.page.mouse.move(
      camera.x + me.x * camera.scale + Math.cos(angle) * AIM_PIXELS,
      camera.y + me.y * camera.scale + Math.sin(angle) * AIM_PIXELS,
    );
  }

  async screenshot(name: string): Promise<void> {
    const folder = resolve(import.meta.dirname, "../screenshots");
    mkdirSync(folder, { recursive: true });
    // Screens fade in: wait for what moves once, not for what moves for ever.
    await this.page.evaluate(async () => {
      const once = document
        .getAnimations()
        .filter((a) => a.effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY);
      await Promise.allSettled(once.map((a) => a.finished));
    });
    await this.page.screenshot({ path: resolve(folder, `${name}.png`) });
  }
}

/** Answers the page's own files from a folder, so that they can be tried without a new binary. */
async function servePages(context: BrowserContext, folder: string, origin: string): Promise<void> {
  await context.route(
    (address) =>
      address.origin === origin &&
      (address.pathname === "/" || address.pathname.startsWith("/assets/")),
    (route) => {
      const { pathname } = new URL(route.request().url());
      return route.fulfill({ path: join(folder, pathname === "/" ? "index.html" : pathname) });
    },
  );
}

/** Two players of one quick match. */
export async function pair(
  browser: Browser,
  url: string,
  game = "arena",
): Promise<[Player, Player]> {
  const ann = await Player.open(browser, url);
  const bob = await Player.open(browser, url);
  await ann.choose("Ann", "#play", game);
  await ann.screen("waiting");
  await bob.choose("Bob", "#play", game);
  await Promise.all([ann.playing(), bob.playing()]);
  return [ann, bob];
}

/** Someone moves while this key is held, and someone else sees it. */
export async function seesMove(watcher: Player, mover: Player): Promise<void> {
  const slot = await mover.slot();
  const before = await until("the mover is seen", () => watcher.sees(slot));
  // Towards the middle, and back where a wall is in the way.
  let [key, other] = before.x < 20 ? ["KeyD", "KeyA"] : ["KeyA", "KeyD"];
  let since = performance.now();
  await until(`slot ${slot} moves on the other's screen`, async () => {
    await mover.hold(key);
    const now = await watcher.sees(slot);
    if (performance.now() - since > WALL_MS) {
      [key, other] = [other, key];
      since = performance.now();
    }
    return now !== undefined && Math.abs(now.x - before.x) > 1.5;
  });
  await mover.hold();
}

/** Pages to try instead of those in the binary, such as `../demo/dist`. */
const PAGES = process.env.GAMESERVER_PAGES;
/** A page that comes from nowhere may otherwise not talk to loopback. */
const FOR_PAGES = ["LocalNetworkAccessChecks"];
const DESKTOP = { width: 1000, height: 640 };
/** The arena's outermost lanes are free of walls (games/arena/src/map.rs). */
const LANE = 21.5;
const SIDE_LANE = 3;
const NEAR = 0.5;
const AIM_PIXELS = 60;
/** Without a wall, a player has long moved by then. */
const WALL_MS = 2000;
