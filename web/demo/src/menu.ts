import type { Game, Party } from "@gameserver/sdk";
import { el, setText } from "./dom.js";
import type { Invitation } from "./invite.js";

/** What the menu asks for. */
export interface MenuChoice {
  readonly name: string;
  readonly game: string;
  readonly how: "quick" | "friend";
}

/** The first screen: a name, a game, and how to play. */
export class MenuScreen {
  readonly root: HTMLElement;
  readonly #name: HTMLInputElement;
  readonly #play: HTMLButtonElement;
  readonly #friend: HTMLButtonElement;
  readonly #usual: string;
  readonly #empty: boolean;

  constructor(options: {
    readonly games: readonly Game[];
    readonly name: string;
    readonly invitation: Invitation | undefined;
    readonly error: string;
    /** The box for parties. */
    readonly party: HTMLElement;
    readonly choose: (choice: MenuChoice) => void;
  }) {
    const { games, invitation } = options;
    this.#empty = games.length === 0;
    this.#usual = invitation === undefined ? "Play" : "Join the match";
    let game = games.find((g) => g.id === invitation?.game)?.id ?? games[0]?.id ?? "";
    this.#name = el("input", {
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
    const button = (id: MenuChoice["how"], text: string, attributes: Record<string, string>) =>
      el(
        "button",
        {
          type: "submit",
          ...attributes,
          onclick: () => {
            how = id;
          },
        },
        text,
      );
    this.#play = button("quick", this.#usual, { id: "play", class: "primary" });
    this.#friend = button("friend", "Play a friend", { id: "friend" });
    const form = el(
      "form",
      {
        class: "panel",
        onsubmit: (event) => {
          event.preventDefault();
          if (game !== "") {
            options.choose({ name: this.#name.value.trim(), game, how });
          }
        },
      },
      el("label", { for: "name", class: "field-label" }, "Name"),
      this.#name,
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
      this.#empty && el("p", { class: "error" }, "This server serves no games yet."),
      options.error !== "" && el("p", { class: "error", role: "alert" }, options.error),
      el("div", { class: "buttons" }, this.#play, invitation === undefined && this.#friend),
    );
    this.root = el(
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
      // Who follows a friend's link is on the way into a match.
      el("div", { class: "entry" }, form, invitation === undefined && options.party),
    );
    this.setParty(undefined, undefined);
  }

  /** The name that was given; asks for one where there is none. */
  get name(): string | undefined {
    return this.#name.reportValidity() ? this.#name.value.trim() : undefined;
  }

  /** In a party the name stays, and its leader starts. */
  setParty(party: Party | undefined, me: string | undefined): void {
    const leader = party?.members.find((member) => member.player_id === party.leader);
    const follows = party !== undefined && party.leader !== me;
    this.#name.readOnly = party !== undefined;
    if (party !== undefined) {
      this.#name.value = party.members.find((m) => m.player_id === me)?.username ?? "";
    }
    const starts = `${leader?.username ?? "The leader"} starts the match`;
    setText(this.#play, follows ? starts : party === undefined ? this.#usual : "Play together");
    this.#play.disabled = this.#empty || follows;
    this.#friend.disabled = this.#empty;
    this.#friend.hidden = follows;
  }
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
