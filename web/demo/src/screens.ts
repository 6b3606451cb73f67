import type { MatchResult } from "@gameserver/sdk";
import { el } from "./dom.js";
import { slotColor } from "./games/view.js";

/** How it ended. */
export function resultScreen(options: {
  readonly result: MatchResult;
  readonly players: readonly { readonly slot: number; readonly username: string }[];
  readonly slot: number | undefined;
  readonly code: string | undefined;
  /** Whether somebody else starts the next match. */
  readonly follows: boolean;
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
        options.follows
          ? "Back to the party"
          : options.code === undefined
            ? "Play again"
            : `Again with ${options.code}`,
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
