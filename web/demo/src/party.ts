import type { Party } from "@gameserver/sdk";
import { announce, el, setText } from "./dom.js";

/** What the box asks for. */
export interface PartyActions {
  readonly create: () => Promise<void>;
  readonly join: (code: string) => Promise<void>;
  readonly leave: () => Promise<void>;
  readonly remove: (playerId: string) => Promise<void>;
}

/** Friends who are matched together: a small box under the menu. */
export class PartyBox {
  readonly root: HTMLDetailsElement;
  readonly #actions: PartyActions;
  readonly #body = el("div", { class: "party-body" });
  readonly #error = el("p", { class: "error", role: "alert", hidden: true });
  readonly #summary = el("summary", {}, INVITING);
  #key = "";

  constructor(actions: PartyActions) {
    this.#actions = actions;
    this.root = el(
      "details",
      { class: "panel party", id: "party" },
      this.#summary,
      this.#body,
      this.#error,
    );
    this.update(undefined, undefined);
  }

  /** Shows who is in the party; `me` is this player's id. */
  update(party: Party | undefined, me: string | undefined): void {
    const key = JSON.stringify([party?.party_id, party?.leader, party?.members, me]);
    if (key === this.#key) {
      return;
    }
    this.#key = key;
    this.say("");
    if (party === undefined) {
      setText(this.#summary, INVITING);
      this.#body.replaceChildren(...this.#outside());
      return;
    }
    this.root.open = true;
    const names = party.members.map((member) => member.username);
    setText(this.#summary, `Your party · ${names.length}`);
    announce(`In your party: ${names.join(", ")}`);
    this.#body.replaceChildren(...this.#inside(party, me));
  }

  /** Says what went wrong; an empty text takes it away. */
  say(error: string): void {
    setText(this.#error, error);
    this.#error.hidden = error === "";
  }

  #outside(): HTMLElement[] {
    const code = el("input", {
      id: "party-code",
      type: "text",
      maxlength: 16,
      autocomplete: "off",
      autocapitalize: "characters",
      spellcheck: "false",
      placeholder: "Code",
      "aria-label": "A friend's party code",
      required: true,
    });
    return [
      el(
        "p",
        { class: "hint" },
        "A party gets into the same match. Start one, or join a friend's.",
      ),
      el(
        "form",
        {
          class: "party-row",
          onsubmit: (event) => {
            event.preventDefault();
            void this.#do(() => this.#actions.join(code.value));
          },
        },
        code,
        el("button", { id: "party-join", type: "submit" }, "Join"),
        el(
          "button",
          {
            id: "party-create",
            type: "button",
            onclick: () => void this.#do(this.#actions.create),
          },
          "Start a party",
        ),
      ),
    ];
  }

  #inside(party: Party, me: string | undefined): HTMLElement[] {
    const leads = party.leader === me;
    const leader = party.members.find((member) => member.player_id === party.leader);
    return [
      el(
        "p",
        { class: "party-code" },
        "Code ",
        el("b", { id: "party-shown", translate: "no" }, party.code),
      ),
      el(
        "ul",
        { class: "members", "aria-label": "Members" },
        ...party.members.map((member) =>
          el(
            "li",
            {},
            el("span", { class: "name" }, member.username),
            member.player_id === me && el("span", { class: "tag" }, "you"),
            member.player_id === party.leader && el("span", { class: "tag" }, "leader"),
            leads &&
              member.player_id !== me &&
              el(
                "button",
                {
                  type: "button",
                  class: "remove",
                  "aria-label": `Remove ${member.username}`,
                  onclick: () => void this.#do(() => this.#actions.remove(member.player_id)),
                },
                "✕",
              ),
          ),
        ),
      ),
      el(
        "div",
        { class: "party-row" },
        el(
          "p",
          { class: "hint" },
          leads
            ? "Friends join with the code. When you play, everyone comes along."
            : `${leader?.username ?? "The leader"} starts the match, and you come along.`,
        ),
        el(
          "button",
          { id: "party-leave", type: "button", onclick: () => void this.#do(this.#actions.leave) },
          "Leave",
        ),
      ),
    ];
  }

  async #do(act: () => Promise<void>): Promise<void> {
    const buttons = [...this.#body.querySelectorAll("button")];
    for (const button of buttons) {
      button.disabled = true;
    }
    try {
      await act();
    } finally {
      for (const button of buttons) {
        button.disabled = false;
      }
    }
  }
}

const INVITING = "Play together as a party";
