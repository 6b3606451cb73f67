import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player } from "./browser.js";
import { Server, until } from "./server.js";

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

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

test("a friend's link makes a private match of two phones, played with thumbs", async () => {
  const ann = await Player.open(browser, server.url, PHONE);
  await ann.page.waitForSelector("#name");
  await ann.screenshot("phone-menu");
  await ann.choose("Ann", "#friend");
  await ann.screen("waiting");
  await ann.screenshot("phone-waiting");
  const link = await ann.page.inputValue("#link");
  expect(link).toMatch(/\/\?game=arena&code=[A-Z0-9]{6}$/);

  // Someone who queues without the code is not let in.
  const stranger = await Player.open(browser, server.url, PHONE);
  await stranger.choose("Eve", "#play");
  await stranger.screen("waiting");

  const bob = await Player.open(browser, link, PHONE);
  await bob.page.waitForSelector("#name");
  await bob.screenshot("phone-invited");
  await bob.choose("Bob", "#play");
  await Promise.all([ann.playing(), bob.playing()]);
  expect(await ann.matchId()).toBe(await bob.matchId());
  const names = await ann.page.evaluate(() =>
    (window.gameserver.session?.players ?? []).map((p) => p.username).sort(),
  );
  expect(names).toEqual(["Ann", "Bob"]);
  await stranger.page.click("#cancel");
  await stranger.screen("menu");

  // The left thumb pushes towards the middle; Bob sees Ann go.
  const slot = await ann.slot();
  const before = await until("Ann is seen", () => bob.sees(slot));
  const thumb = await ann.page.context().newCDPSession(ann.page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", x: number) =>
    thumb.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: type === "touchEnd" ? [] : [{ x, y: 720, id: 1 }],
    });
  await touch("touchStart", 100);
  await touch("touchMove", before.x < 20 ? 150 : 50);
  await until("Ann moves on Bob's screen", async () => {
    const now = await bob.sees(slot);
    return now !== undefined && Math.abs(now.x - before.x) > 1.5;
  });
  await ann.screenshot("phone-match");
  await touch("touchEnd", 0);
  await ann.page.setViewportSize({ width: 844, height: 390 });
  await until("the picture is wide", () =>
    ann.page.evaluate(() => document.querySelector("canvas.surface")?.clientWidth === 844),
  );
  await ann.page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
  await ann.screenshot("phone-landscape");
});
