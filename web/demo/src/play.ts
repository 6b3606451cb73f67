import type { ChatLine, MatchPlayer } from "@gameserver/sdk";
import { announce, el, setText } from "./dom.js";
import { createView } from "./games/registry.js";
import { type GameView, type PlaySession, slotColor } from "./games/view.js";
import { LinePanel, type LineSettings } from "./line-panel.js";
import type { Sound } from "./sound.js";

/** A match on the screen: the game's picture, and chat, line and banner over it. */
export class PlayScreen {
  readonly root: HTMLElement;
  readonly #session: PlaySession;
  readonly #view: GameView;
  readonly #line: LinePanel;
  readonly #corner = el("div", { class: "corner", "aria-hidden": "true" });
  readonly #banner = el("div", { class: "banner", role: "alert", hidden: true });
  readonly #lines = el("ul", { class: "chat-lines", "aria-label": "Chat" });
  readonly #entry = el("input", {
    class: "chat-entry",
    id: "chat",
    type: "text",
    maxlength: 200,
    placeholder: "Say something …",
    "aria-label": "Chat message",
    autocomplete: "off",
  });
  readonly #abort = new AbortController();
  readonly #stops: (() => void)[] = [];
  /** Who played in which slot, as far as it was told of. */
  readonly #seats = new Map<number, MatchPlayer>();
  #frame = 0;
  #before = performance.now();
  #fps = 60;
  #cornerAtMs = 0;

  constructor(session: PlaySession, sound: Sound, line: LineSettings, leave: () => void) {
    this.#session = session;
    this.#line = new LinePanel(session, line);
    const host = el("div", { class: "stage" });
    const mute = el("button", {
      type: "button",
      class: "tool",
      id: "sound",
      "aria-label": "Sound",
      "aria-pressed": String(sound.on),
      onclick: () => {
        mute.setAttribute("aria-pressed", String(sound.toggle()));
        mute.blur();
      },
    });
    const talk = el("button", {
      type: "button",
      class: "tool",
      id: "talk",
      "aria-label": "Chat",
      onclick: () => this.#openChat(),
    });
    const quit = el("button", {
      type: "button",
      class: "tool",
      id: "leave",
      "aria-label": "Leave the match",
      onclick: () => {
        quit.blur();
        if (session.phase === "ended" || confirm("Leave this match? You cannot come back.")) {
          leave();
        }
      },
    });
    this.#entry.hidden = true;
    this.root = el(
      "section",
      { class: `screen match game-${session.game}` },
      host,
      this.#corner,
      el("div", { class: "tools" }, this.#line.button, talk, mute, quit),
      this.#line.root,
      el("div", { class: "chat" }, this.#lines, this.#entry),
      this.#banner,
    );
    for (const player of session.players) {
      this.#seats.set(player.slot, player);
    }
    this.#view = createView({ session, host, sound });
    this.#stops.push(session.on("chat", (line) => this.#addLine(line)));
    this.#stops.push(
      session.on("refused", ({ what, reason }) => this.#addNote(`${what}: ${reason}`)),
    );
    this.#stops.push(
      session.on("moduleFailed", (error) => this.#addNote(`no prediction here: ${error.message}`)),
      session.on("desync", ({ tick }) => this.#addNote(`put right by the server at tick ${tick}`)),
      session.on("player", (player) => this.#handlePlayer(player)),
      session.on("welcome", () => {
        for (const player of session.players) {
          this.#handlePlayer(player);
        }
      }),
      session.on("mode", ({ mode, reason }) => this.#addNote(`from now on ${mode}: ${reason}`)),
    );
    const { signal } = this.#abort;
    addEventListener(
      "keydown",
      (event) => {
        const target = event.target as HTMLElement | null;
        if (target?.closest("button, input, a") || event.repeat) {
          return;
        }
        if (event.key === "Enter") {
          event.preventDefault();
          this.#openChat();
        } else if (event.code === "KeyL" && !event.ctrlKey && !event.metaKey && !event.altKey) {
          this.#line.toggle();
        }
      },
      { signal },
    );
    this.#entry.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") {
        const text = this.#entry.value.trim();
        if (text !== "") {
          session.chat(text);
        }
      }
      if (event.key === "Enter" || event.key === "Escape") {
        this.#entry.value = "";
        this.#entry.hidden = true;
        this.#entry.blur();
      }
    });
    this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#abort.abort();
    for (const stop of this.#stops) {
      stop();
    }
    this.#view.destroy();
  }

  #draw(now: number): void {
    this.#frame = requestAnimationFrame((next) => this.#draw(next));
    const elapsed = Math.min(MAX_FRAME_MS, Math.max(0, now - this.#before));
    this.#before = now;
    this.#fps += (1000 / Math.max(1, elapsed) - this.#fps) * 0.05;
    this.#view.frame(now, elapsed);
    this.#line.frame(now);
    if (now - this.#cornerAtMs > CORNER_EVERY_MS) {
      this.#cornerAtMs = now;
      this.#updateCorner();
    }
  }

  #updateCorner(): void {
    const { roundTripMs, tick, packetAgeMs } = this.#session.stats;
    const ms = (value: number | undefined) => (value === undefined ? "–" : Math.round(value));
    setText(
      this.#corner,
      `${ms(roundTripMs)} ms · tick ${tick} · ${Math.round(this.#fps)} fps · age ${ms(packetAgeMs)} ms`,
    );
    const running = this.#session.phase === "running";
    const silent = running && (packetAgeMs ?? 0) > SILENT_MS;
    const trouble =
      this.#session.status === "reconnecting"
        ? "Connection lost. Reconnecting …"
        : silent
          ? "The line is silent. Hold on …"
          : "";
    setText(this.#banner, trouble);
    this.#banner.hidden = trouble === "";
  }

  #openChat(): void {
    this.#entry.hidden = false;
    this.#entry.focus();
  }

  /** Says who takes whose place. */
  #handlePlayer(player: MatchPlayer): void {
    const before = this.#seats.get(player.slot);
    this.#seats.set(player.slot, player);
    if (before === undefined || player.slot === this.#session.slot) {
      return;
    }
    if (player.open && !before.open) {
      this.#addNote(`${before.username} is gone · looking for another player`);
    } else if (!player.open && player.playerId !== before.playerId) {
      const place = before.open ? "the free place" : `${before.username}'s place`;
      this.#addNote(`${player.username} takes ${place}`);
    }
  }

  #addLine(line: ChatLine): void {
    this.#add(
      el("b", { style: `color:${slotColor(line.slot)}` }, line.username),
      el("span", {}, ` ${line.text}`),
    );
    announce(`${line.username}: ${line.text}`);
  }

  #addNote(text: string): void {
    this.#add(el("i", {}, text));
  }

  #add(...content: Node[]): void {
    const line = el("li", {}, ...content);
    this.#lines.append(line);
    while (this.#lines.childElementCount > MAX_LINES) {
      this.#lines.firstElementChild?.remove();
    }
    setTimeout(() => line.classList.add("old"), LINE_MS);
  }
}

/** A tab that comes back has one long frame: nothing should fly off in it. */
const MAX_FRAME_MS = 100;
const CORNER_EVERY_MS = 250;
const SILENT_MS = 1500;
const MAX_LINES = 6;
const LINE_MS = 9000;
