import type { Game, MatchResult } from "@gameserver/sdk";
import { clockText, el, setText } from "./dom.js";
import { slotColor } from "./games/view.js";
import type { Invitation } from "./invite.js";

/** What the menu asks for. */
export interface MenuChoice {
  readonly name: string;
  readonly game: string;
  readonly how: "quick" | "friend";
}

/** The first screen: a name, a game, and how to play. */
export function menuScreen(options: {
  readonly games: readonly Game[];
  readonly name: string;
  readonly invitation: Invitation | undefined;
  readonly error: string;
  readonly choose: (choice: MenuChoice) => void;
}): HTMLElement {
  const { games, invitation } = options;
  let game = games.find((g) => g.id === invitation?.game)?.id ?? games[0]?.id ?? "";
  const name = el("input", {
    id: "name",
    type: "text",
    maxlength: 20,
    autocomplete: "nickname",
    spellcheck: "false",
    placeholder: "Your name",
    value: options.name,
    required: true,
    pattern: ".*\\S.*",
  });
  const cards = games.map((g) =>
    el(
      "label",
      { class: "card" },
      el("input", {
        type: "radio",
        name: "game",
        value: g.id,
        checked: g.id === game,
        onchange: () => {
          game = g.id;
        },
      }),
      el("span", { class: `card-art art-${g.id}`, "aria-hidden": "true" }, initials(g.title)),
      el("span", { class: "card-title" }, g.title),
      el("span", { class: "card-note" }, playersText(g)),
    ),
  );
  let how: MenuChoice["how"] = "quick";
  const form = el(
    "form",
    {
      class: "panel",
      onsubmit: (event) => {
        event.preventDefault();
        if (game !== "") {
          options.choose({ name: name.value.trim(), game, how });
        }
      },
    },
    el("label", { for: "name", class: "field-label" }, "Name"),
    name,
    invitation !== undefined
      ? el(
          "p",
          { class: "invited" },
          "A friend invited you to ",
          el("b", {}, titleOf(games, game)),
          " · ",
          el("span", { class: "code" }, `code ${invitation.code}`),
        )
      : el("div", { class: "cards", role: "radiogroup", "aria-label": "Game" }, ...cards),
    games.length === 0 && el("p", { class: "error" }, "This server serves no games yet."),
    options.error !== "" && el("p", { class: "error", role: "alert" }, options.error),
    el(
      "div",
      { class: "buttons" },
      el(
        "button",
        {
          id: "play",
          class: "primary",
          type: "submit",
          disabled: games.length === 0,
          onclick: () => {
            how = "quick";
          },
        },
        invitation === undefined ? "Play" : "Join the match",
      ),
      invitation === undefined &&
        el(
          "button",
          {
            id: "friend",
            type: "submit",
            disabled: games.length === 0,
            onclick: () => {
              how = "friend";
            },
          },
          "Play a friend",
        ),
    ),
  );
  return el(
    "section",
    { class: "screen menu" },
    el(
      "header",
      { class: "brand" },
      el("h1", {}, "Game", el("em", {}, "Server")),
      el(
        "p",
        {},
        "Pick a name, pick a game, play. Alone against whoever is there, or with a friend.",
      ),
    ),
    form,
  );
}

/** Waiting for a match. */
export class WaitingScreen {
  readonly root: HTMLElement;
  readonly #time = el("span", { class: "waited" }, "0:00");
  readonly #status = el("p", { class: "status", role: "status" }, "Looking for players …");

  constructor(options: {
    readonly title: string;
    readonly link: string | undefined;
    readonly code: string | undefined;
    readonly cancel: () => void;
  }) {
    const { link } = options;
    const copy = el("button", { type: "button", id: "copy" }, "Copy link");
    copy.addEventListener("click", () => {
      void copyText(link ?? "").then((done) => setText(copy, done ? "Copied" : "Select and copy"));
      setTimeout(() => setText(copy, "Copy link"), COPIED_MS);
    });
    this.root = el(
      "section",
      { class: "screen waiting" },
      el("div", { class: "radar", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
      el("h2", {}, options.title),
      this.#status,
      this.#time,
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
      el("button", { id: "cancel", type: "button", onclick: options.cancel }, "Cancel"),
    );
    if (link !== undefined) {
      setText(this.#status, "Waiting for your friend …");
    }
  }

  update(text: string | undefined, waitedMs: number): void {
    if (text !== undefined) {
      setText(this.#status, text);
    }
    setText(this.#time, clockText(Math.floor(waitedMs / 1000)));
  }
}

/** How it ended. */
export function resultScreen(options: {
  readonly result: MatchResult;
  readonly players: readonly { readonly slot: number; readonly username: string }[];
  readonly slot: number | undefined;
  readonly code: string | undefined;
  readonly again: () => void;
  readonly menu: () => void;
}): HTMLElement {
  const { result, slot } = options;
  const rows = [...result.slots].sort((a, b) => a.placement - b.placement || b.score - a.score);
  const mine = rows.find((row) => row.slot === slot);
  const shared = rows.filter((row) => row.placement === 1).length > 1;
  const headline =
    result.outcome !== "finished"
      ? result.outcome === "void"
        ? "No result"
        : "Match abandoned"
      : mine === undefined
        ? "Match over"
        : mine.placement === 1
          ? shared
            ? "Draw"
            : "Victory"
          : rows.length === 2
            ? "Defeat"
            : `Place ${mine.placement}`;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.statistics)))].slice(0, 5);
  const nameOf = (s: number) =>
    options.players.find((p) => p.slot === s)?.username || `Player ${s + 1}`;
  return el(
    "section",
    { class: `screen result ${headline === "Victory" ? "won" : ""}` },
    el("h2", { class: "headline" }, headline),
    result.reason !== "" &&
      el(
        "p",
        { class: "reason" },
        result.reason.slice(0, 1).toUpperCase() + result.reason.slice(1),
      ),
    rows.length > 0 &&
      el(
        "div",
        { class: "panel table" },
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", {}, "#"),
              el("th", { class: "who" }, "Player"),
              el("th", {}, "Score"),
              ...names.map((n) => el("th", {}, n)),
            ),
          ),
          el(
            "tbody",
            {},
            ...rows.map((row) =>
              el(
                "tr",
                {
                  class: row.slot === slot ? "own" : "",
                  style: `--color:${slotColor(row.slot)}`,
                  "data-slot": row.slot,
                },
                el("td", { class: "place" }, String(row.placement)),
                el("td", { class: "who" }, el("span", { class: "dot" }), nameOf(row.slot)),
                el("td", { class: "points" }, String(row.score)),
                ...names.map((n) => el("td", {}, String(row.statistics[n] ?? 0))),
              ),
            ),
          ),
        ),
      ),
    result.outcome !== "void" &&
      el("p", { class: "stored" }, result.stored ? "Result recorded" : "Recording the result …"),
    el(
      "div",
      { class: "buttons" },
      el(
        "button",
        { id: "again", class: "primary", type: "button", onclick: options.again },
        options.code === undefined ? "Play again" : `Again with ${options.code}`,
      ),
      el("button", { id: "menu", type: "button", onclick: options.menu }, "Menu"),
    ),
  );
}

/** One message and a way on. */
export function messageScreen(
  title: string,
  text: string,
  ...buttons: { readonly label: string; readonly act: () => void }[]
): HTMLElement {
  return el(
    "section",
    { class: "screen message" },
    buttons.length === 0 &&
      el("div", { class: "radar", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    el("h2", {}, title),
    text !== "" && el("p", { class: "status", role: "status" }, text),
    el(
      "div",
      { class: "buttons" },
      ...buttons.map((b, i) =>
        el("button", { type: "button", class: i === 0 ? "primary" : "", onclick: b.act }, b.label),
      ),
    ),
  );
}

function titleOf(games: readonly Game[], id: string): string {
  return games.find((g) => g.id === id)?.title ?? id;
}

function playersText(game: Game): string {
  const { min, max } = game.players;
  return `${min === max ? min : `${min}–${max}`} players`;
}

function initials(title: string): string {
  return title.slice(0, 1).toUpperCase();
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

const COPIED_MS = 2000;
