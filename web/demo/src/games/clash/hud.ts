import { announce, el, setText } from "../../dom.js";
import { nameOf, type PlaySession, ratingOf, slotColor } from "../view.js";
import { clockSeconds, type FighterState, type Scene } from "./scene.js";

/** What lies over the stage: health, rounds, the clock, combinations and the announcer's words. */
export class Hud {
  readonly root = el("div", { class: "hud clash-hud" });
  readonly #session: PlaySession;
  readonly #sides: readonly Side[];
  readonly #clock = el("div", { class: "clash-clock", role: "timer" });
  readonly #words = el("div", { class: "clash-words", role: "status" });
  readonly #notice = el("div", { class: "notice", role: "status", hidden: true });
  #wordsUntilMs = 0;

  constructor(host: HTMLElement, session: PlaySession) {
    this.#session = session;
    this.#sides = [0, 1].map((slot) => new Side(slot));
    this.#words.hidden = true;
    this.root.append(
      this.#sides[0].root,
      this.#clock,
      this.#sides[1].root,
      this.#sides[0].combo,
      this.#sides[1].combo,
      this.#words,
      this.#notice,
    );
    host.append(this.root);
  }

  update(scene: Scene, nowMs: number, elapsedMs: number, notice: string): void {
    setText(this.#clock, scene.round === 0 ? "–" : String(clockSeconds(scene)));
    this.#clock.classList.toggle("urgent", scene.phase === "fight" && clockSeconds(scene) <= 10);
    for (const side of this.#sides) {
      const fighter = scene.fighters.find((other) => other.slot === side.slot);
      const other = scene.fighters.find((other) => other.slot !== side.slot);
      const rating = ratingOf(this.#session, side.slot);
      side.update(fighter, this.name(side.slot), rating, scene.roundsToWin, elapsedMs);
      // A combination is counted on who takes it and shown on who gives it.
      side.showCombo(other?.combo ?? 0, elapsedMs);
    }
    if (nowMs > this.#wordsUntilMs) {
      this.#words.hidden = true;
    }
    setText(this.#notice, notice);
    this.#notice.hidden = notice === "";
  }

  /** Says something in large letters for a while. */
  say(text: string, nowMs: number, ms: number, tone: "" | "hot" = ""): void {
    this.#words.className = `clash-words ${tone}`;
    this.#words.hidden = false;
    // A copy of the element starts its animation anew.
    this.#words.replaceChildren(el("span", {}, text));
    this.#wordsUntilMs = nowMs + ms;
    announce(text);
  }

  name(slot: number): string {
    return nameOf(this.#session, slot);
  }
}

/** One fighter's part. */
class Side {
  readonly slot: number;
  readonly root: HTMLElement;
  readonly combo = el("div", { class: "clash-combo", hidden: true });
  readonly #name = el("span", { class: "name" });
  readonly #rating = el("span", { class: "rating", title: "rating" });
  readonly #pips = el("span", { class: "pips", "aria-hidden": "true" });
  readonly #bar: HTMLElement;
  readonly #health = el("i", { class: "now" });
  readonly #lost = el("i", { class: "lost" });
  #shownLost = 100;
  #comboMs = 0;
  #combo = 0;

  constructor(slot: number) {
    this.slot = slot;
    this.#bar = el(
      "div",
      { class: "clash-bar", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 },
      this.#lost,
      this.#health,
    );
    this.root = el(
      "div",
      { class: `clash-side side-${slot}`, style: `--color:${slotColor(slot)}` },
      this.#bar,
      el("div", { class: "under" }, this.#name, this.#rating, this.#pips),
    );
    this.combo.classList.add(`side-${slot}`);
    this.combo.style.setProperty("--color", slotColor(slot));
  }

  update(
    fighter: FighterState | undefined,
    name: string,
    rating: number | undefined,
    roundsToWin: number,
    elapsedMs: number,
  ): void {
    const health = fighter?.health ?? 100;
    setText(this.#name, name);
    setText(this.#rating, rating === undefined ? "" : String(Math.round(rating)));
    // What was lost stays for a moment, until the combination is over.
    const waits = (fighter?.combo ?? 0) > 0;
    this.#shownLost =
      health > this.#shownLost
        ? health
        : Math.max(health, this.#shownLost - (waits ? 0 : elapsedMs * 0.06));
    this.#health.style.width = `${health}%`;
    this.#lost.style.width = `${this.#shownLost}%`;
    this.#bar.classList.toggle("low", health <= 25);
    this.#bar.setAttribute("aria-valuenow", String(health));
    this.#bar.setAttribute("aria-label", `Health of ${name}`);
    const won = fighter?.rounds ?? 0;
    if (this.#pips.dataset.key !== `${won}/${roundsToWin}`) {
      this.#pips.dataset.key = `${won}/${roundsToWin}`;
      this.#pips.replaceChildren(
        ...Array.from({ length: roundsToWin }, (_, i) => el("b", { class: i < won ? "won" : "" })),
      );
    }
  }

  showCombo(hits: number, elapsedMs: number): void {
    this.#comboMs -= elapsedMs;
    if (hits >= 2 && hits !== this.#combo) {
      this.#comboMs = COMBO_MS;
      this.combo.replaceChildren(el("b", {}, String(hits)), el("span", {}, "HITS"));
    }
    this.#combo = hits;
    this.combo.hidden = this.#comboMs <= 0;
  }
}

const COMBO_MS = 1400;
