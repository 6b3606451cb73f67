import { announce, clockText, el, setText } from "../../dom.js";
import { nameOf, OPEN, type PlaySession, ratingOf, slotColor } from "../view.js";
import type { PlayerState, Scene } from "./scene.js";

/** What lies over the arena: clock, scores, kills, this player's state. */
export class Hud {
  readonly root = el("div", { class: "hud" });
  readonly #clock = el("div", { class: "clock", role: "timer" });
  readonly #limit = el("div", { class: "limit" });
  readonly #board = el("ol", { class: "board", "aria-label": "Scores" });
  readonly #feed = el("ul", { class: "feed", "aria-label": "Kills" });
  readonly #health = el("i");
  readonly #dash = el("i");
  readonly #vitals = el(
    "div",
    { class: "vitals" },
    el("span", { class: "bar health" }, this.#health),
    el("span", { class: "bar dash" }, this.#dash),
  );
  readonly #notice = el("div", { class: "notice", role: "status" });
  readonly #session: PlaySession;
  #boardKey = "";

  constructor(host: HTMLElement, session: PlaySession) {
    this.#session = session;
    this.root.append(
      el("div", { class: "clock-box" }, this.#clock, this.#limit),
      this.#board,
      this.#feed,
      this.#vitals,
      this.#notice,
    );
    host.append(this.root);
  }

  update(scene: Scene, mine: PlayerState | undefined, notice: string): void {
    setText(this.#clock, scene.seconds === undefined ? "–:––" : clockText(scene.seconds));
    this.#clock.classList.toggle("urgent", scene.seconds !== undefined && scene.seconds <= 10);
    setText(this.#limit, scene.limit > 0 ? `first to ${scene.limit}` : "");
    this.#updateBoard(scene);
    this.#vitals.hidden = mine === undefined || !mine.alive;
    if (mine !== undefined) {
      this.#health.style.width = `${mine.health}%`;
      this.#health.classList.toggle("low", mine.health <= 28);
      this.#dash.style.width = `${mine.dash}%`;
      this.#dash.classList.toggle("ready", mine.dash >= 100);
    }
    setText(this.#notice, notice);
    this.#notice.hidden = notice === "";
  }

  /** A line in the feed; the oldest go. */
  kill(by: number, victim: number): void {
    const name = (slot: number): HTMLElement =>
      el(
        "b",
        { style: `color:${slotColor(slot)}` },
        slot === this.#session.slot ? "You" : this.name(slot),
      );
    const own = by === this.#session.slot || victim === this.#session.slot;
    const line =
      by === victim
        ? el("li", { class: own ? "own" : "" }, name(victim), " fell")
        : el("li", { class: own ? "own" : "" }, name(by), el("span", {}, " ⟶ "), name(victim));
    this.#feed.prepend(line);
    while (this.#feed.childElementCount > MAX_LINES) {
      this.#feed.lastElementChild?.remove();
    }
    setTimeout(() => line.remove(), LINE_MS);
    if (own) {
      announce(line.textContent ?? "");
    }
  }

  name(slot: number): string {
    return nameOf(this.#session, slot);
  }

  #updateBoard(scene: Scene): void {
    const free = new Set(this.#session.players.filter((p) => p.open).map((p) => p.slot));
    const taken = scene.players.filter((p) => !free.has(p.slot));
    const rows = taken.sort((a, b) => b.score - a.score || a.slot - b.slot);
    const presence = new Map(this.#session.players.map((p) => [p.slot, p.presence]));
    const open = free.size;
    const key = `${rows
      .map((p) => [p.slot, p.score, p.alive, presence.get(p.slot), this.name(p.slot)].join())
      .join(";")};${open}`;
    if (key === this.#boardKey) {
      return;
    }
    this.#boardKey = key;
    this.#board.replaceChildren(
      ...rows.slice(0, MAX_ROWS).map((p) => {
        const away = presence.get(p.slot) === "lost" || presence.get(p.slot) === "gone";
        const rating = ratingOf(this.#session, p.slot);
        return el(
          "li",
          {
            class: [p.slot === this.#session.slot ? "own" : "", p.alive ? "" : "down"].join(" "),
            style: `--color:${slotColor(p.slot)}`,
          },
          el("span", { class: "dot" }),
          el("span", { class: "name" }, this.name(p.slot)),
          rating !== undefined &&
            el("span", { class: "rating", title: "rating" }, String(Math.round(rating))),
          away && el("span", { class: "away", title: "connection lost" }, "away"),
          el("span", { class: "score" }, String(p.score)),
        );
      }),
      ...(open === 0 ? [] : [el("li", { class: "open" }, open === 1 ? OPEN : MANY(open))]),
    );
  }
}

const MAX_LINES = 5;
const LINE_MS = 6000;
const MAX_ROWS = 8;
const MANY = (open: number): string => `Looking for ${open} players …`;
