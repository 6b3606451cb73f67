import type { TicketStatus } from "@gameserver/sdk";
import { announce, clockText, el, setText } from "./dom.js";
import { explain } from "./explain.js";

/** Waiting for a match: why it takes long, and whether one is ready for the one that was found. */
export class WaitingScreen {
  readonly root: HTMLElement;
  readonly #time = el("span", { class: "waited" }, "0:00");
  readonly #status = el("p", { class: "status", role: "status" }, "Looking for players …");
  readonly #note = el("p", { class: "returned", hidden: true }, RETURNED);
  readonly #why = el("ul", { class: "why", "aria-label": "Why you wait", hidden: true });
  readonly #question = el("div", { class: "panel question", hidden: true });
  readonly #left = el("b", { class: "left" });
  readonly #bar = el("i");
  readonly #ready = el("p", { class: "ready" });
  readonly #buttons = el("div", { class: "buttons" });
  readonly #cancel: HTMLElement;
  readonly #since = performance.now();
  readonly #invites: boolean;
  readonly #title = document.title;
  #said: { readonly status: TicketStatus; readonly atMs: number } | undefined;
  /** When the question that is open ends, and how long it was open for. */
  #deadline: { readonly atMs: number; readonly forMs: number } | undefined;

  constructor(options: {
    readonly title: string;
    readonly link: string | undefined;
    readonly code: string | undefined;
    /** The names of those who are queued together with this player. */
    readonly party: readonly string[];
    readonly cancel: () => void;
  }) {
    const { link, party } = options;
    this.#invites = link !== undefined;
    const copy = el("button", { type: "button", id: "copy" }, "Copy link");
    copy.addEventListener("click", () => {
      void copyText(link ?? "").then((done) => setText(copy, done ? "Copied" : "Select and copy"));
      setTimeout(() => setText(copy, "Copy link"), COPIED_MS);
    });
    this.#question.append(
      el("h3", {}, "Match found ", this.#left),
      el("div", { class: "deadline", "aria-hidden": "true" }, this.#bar),
      this.#ready,
      this.#buttons,
    );
    this.#cancel = el(
      "button",
      { id: "cancel", type: "button", onclick: options.cancel },
      "Cancel",
    );
    this.root = el(
      "section",
      { class: "screen waiting" },
      el("div", { class: "radar", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
      el("h2", {}, options.title),
      party.length > 0 && el("p", { class: "with" }, `With ${party.join(", ")}`),
      this.#note,
      this.#status,
      this.#time,
      this.#why,
      this.#question,
      link !== undefined &&
        el(
          "div",
          { class: "panel invite" },
          el(
            "label",
            { for: "link", class: "field-label" },
            "Send this link to your friend · ",
            el("span", { class: "code" }, `code ${options.code ?? ""}`),
          ),
          el(
            "div",
            { class: "copy-row" },
            el("input", {
              id: "link",
              readonly: true,
              value: link,
              onfocus: (e) => (e.target as HTMLInputElement).select(),
            }),
            copy,
          ),
        ),
      this.#cancel,
    );
    if (this.#invites) {
      setText(this.#status, FRIEND);
    }
  }

  /** What the server said. */
  update(status: TicketStatus): void {
    const before = this.#said?.status;
    this.#said = { status, atMs: performance.now() };
    if (before?.status === "accepting" && status.status === "queued") {
      announce(RETURNED);
    }
    this.tick();
  }

  /** Time passes. */
  tick(): void {
    const now = performance.now();
    setText(this.#time, clockText(Math.floor((now - this.#since) / 1000)));
    if (this.#deadline !== undefined) {
      const left = Math.max(0, this.#deadline.atMs - now);
      setText(this.#left, `${Math.ceil(left / 1000)} s`);
      this.#bar.style.width = `${(left / this.#deadline.forMs) * 100}%`;
    }
    if (this.#said === undefined) {
      return;
    }
    const { status, atMs } = this.#said;
    const { headline, lines } = explain(status, now - atMs);
    const queued = status.status === "queued";
    const text = STATUS[status.status] ?? (this.#invites ? FRIEND : sentence(headline));
    if (text !== "") {
      setText(this.#status, text);
    }
    this.#note.hidden = !queued || status.returned !== true;
    this.#why.hidden = this.#invites || lines.length === 0;
    while (this.#why.childElementCount > lines.length) {
      this.#why.lastElementChild?.remove();
    }
    lines.forEach((line, i) => {
      const item = (this.#why.children[i] as HTMLElement) ?? this.#why.appendChild(el("li"));
      setText(item, line);
    });
    const { accept } = status;
    if (accept !== undefined) {
      setText(this.#ready, `${accept.accepted} of ${accept.players} are ready`);
    }
    this.#cancel.hidden = !queued;
  }

  /** Asks whether the player is ready for the match that was found. */
  ask(status: TicketStatus, signal: AbortSignal): Promise<boolean> {
    const { accept } = status;
    const forMs = accept?.in_ms ?? Date.parse(accept?.until ?? "") - Date.now();
    this.#deadline = Number.isFinite(forMs)
      ? { atMs: performance.now() + forMs, forMs: Math.max(1, forMs) }
      : undefined;
    return new Promise((resolve) => {
      const answer = (accepts: boolean) => () => {
        this.#buttons.replaceChildren(el("p", {}, accepts ? "You are ready" : "You declined"));
        resolve(accepts);
      };
      const yes = el(
        "button",
        { id: "accept", class: "primary", type: "button", onclick: answer(true) },
        "Accept",
      );
      const no = el("button", { id: "decline", type: "button", onclick: answer(false) }, "Decline");
      this.#buttons.replaceChildren(yes, no);
      this.#question.hidden = false;
      document.title = "Match found!";
      announce("A match was found. Accept or decline.");
      this.tick();
      yes.focus({ preventScroll: true });
      signal.addEventListener("abort", () => this.#close(), { once: true });
    });
  }

  #close(): void {
    this.#question.hidden = true;
    this.#deadline = undefined;
    document.title = this.#title;
  }
}

/** Capitalised, as servers' reasons are not always. */
function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.getElementById("link") as HTMLInputElement | null;
    field?.select();
    return false;
  }
}

const STATUS: Partial<Record<TicketStatus["status"], string>> = {
  accepting: "Are you ready?",
  placing: "Match found. Preparing the room …",
  matched: "Here we go",
};
const FRIEND = "Waiting for your friend …";
const RETURNED = "Somebody was not ready. You are back in the queue, before the others.";
const COPIED_MS = 2000;
