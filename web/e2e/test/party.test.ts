import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  // One more than the party, which therefore waits.
  server = await Server.start({ match_seconds: 120, score_limit: 10 }, { players: 3 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

test("a party of two meets by its code, queues together, and gets into one match", async () => {
  const ann = await Player.open(browser, server.url);
  await ann.page.fill("#name", "Ann");
  await ann.page.click("#party summary");
  await ann.page.click("#party-create");
  const code = (await ann.page.textContent("#party-shown")) ?? "";

  const bob = await Player.open(browser, server.url, PHONE);
  await bob.page.fill("#name", "Bob");
  await bob.page.click("#party summary");
  await bob.page.fill("#party-code", "ZZZZZZ");
  await bob.page.click("#party-join");
  await bob.says("#party .error", "no party with this code");
  await bob.page.fill("#party-code", code.toLowerCase());
  await bob.page.click("#party-join");
  for (const player of [ann, bob]) {
    await player.says("#party .members", "Ann");
    await player.says("#party .members", "Bob");
  }
  // Only the leader starts.
  await bob.says("#play:disabled", "Ann starts the match");
  await bob.page.locator("#party").scrollIntoViewIfNeeded();
  await bob.screenshot("phone-party");
  await ann.screenshot("party");

  // The name stays as it is in a party.
  expect(await ann.page.inputValue("#name")).toBe("Ann");
  await ann.page.click("#play");
  await Promise.all([ann, bob].map((p) => p.screen("waiting")));
  await ann.says(".with", "With Bob");
  await bob.says(".with", "With Ann");

  // A member who does not want to wait takes the party out of the queue, and stays in the party.
  await bob.page.click("#cancel");
  await Promise.all([ann, bob].map((p) => p.screen("menu")));
  await ann.says("#party .members", "Bob");
  await ann.page.click("#play");
  await Promise.all([ann, bob].map((p) => p.screen("waiting")));

  const cid = await Player.open(browser, server.url);
  await cid.choose("Cid", "#play");
  const all = [ann, bob, cid];
  await Promise.all(all.map((p) => p.playing()));
  const ids = await Promise.all(all.map((p) => p.matchId()));
  expect(new Set(ids).size).toBe(1);
  await seesMove(bob, ann);

  // The party lasts longer than the match: after it, its members find themselves in it again.
  for (const player of [ann, bob]) {
    player.page.on("dialog", (dialog) => void dialog.accept());
    await player.page.click("#leave");
    await player.screen("menu");
  }
  await until("Ann and Bob are still in the party", async () => {
    const lists = await Promise.all(
      [ann, bob].map((p) => p.page.locator("#party .members").textContent()),
    );
    return lists.every((text) => text?.includes("Ann") && text.includes("Bob"));
  });
  await bob.page.click("#party-leave");
  await bob.says("#party", "Play together as a party");
  await until("Ann sees Bob go", async () => {
    const text = await ann.page.locator("#party .members").textContent();
    return text?.includes("Bob") === false;
  });
});
