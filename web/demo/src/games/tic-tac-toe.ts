import { announce, el, setText } from "../dom.js";
import { type GameView, nameOf, ratingOf, type Stage, slotColor } from "./view.js";

/** Noughts and crosses: nine buttons. */
export class TicTacToeView implements GameView {
  readonly #stage: Stage;
  readonly #status = el("p", { class: "ttt-status", role: "status" });
  readonly #cells: HTMLButtonElement[];
  readonly #seats = el("div", { class: "ttt-seats" });
  #before = "";
  #said = "";

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#cells = Array.from({ length: 9 }, (_, cell) =>
      el("button", {
        class: "ttt-cell",
        type: "button",
        "data-cell": cell,
        onclick: () => {
          stage.session.command("place", { cell });
          stage.sound.play("place");
        },
      }),
    );
    stage.host.append(
      el(
        "div",
        { class: "ttt" },
        this.#seats,
        el("div", { class: "ttt-board", role: "group", "aria-label": "Board" }, ...this.#cells),
        this.#status,
      ),
    );
  }

  frame(nowMs: number): void {
    const { session } = this.#stage;
    const entities = session.view(nowMs);
    const board = entities.find((entity) => entity.kind === "board")?.fields;
    const cells = Array.from({ length: 9 }, (_, i) => Number(board?.[`cell_${i}`] ?? 0));
    const move = entities.find((entity) => entity.kind === "turn")?.fields;
    const turn = Number(move?.slot ?? -1);
    const seconds = Number(move?.seconds ?? 0);
    const mine = session.phase === "running" && turn === session.slot;
    const key = `${cells.join()}|${turn}|${seconds}|${session.phase}|${session.players.map((p) => [p.playerId, p.presence, p.open].join()).join()}`;
    if (key === this.#before) {
      return;
    }
    this.#before = key;
    const line = winningLine(cells);
    this.#cells.forEach((button, i) => {
      const mark = cells[i] === 0 ? "" : MARKS[cells[i] - 1];
      button.dataset.mark = mark;
      button.classList.toggle("won", line?.includes(i) ?? false);
      button.disabled = !mine || mark !== "";
      button.style.setProperty("--color", slotColor(cells[i] - 1));
      button.setAttribute(
        "aria-label",
        `Row ${Math.floor(i / 3) + 1}, column ${(i % 3) + 1}: ${mark || "empty"}`,
      );
    });
    this.#seats.replaceChildren(
      ...session.players.map((player) => {
        const rating = ratingOf(session, player.slot);
        return el(
          "span",
          {
            class: player.slot === turn && session.phase === "running" ? "seat turn" : "seat",
            style: `--color:${slotColor(player.slot)}`,
          },
          el("b", {}, MARKS[player.slot] ?? "?"),
          ` ${nameOf(session, player.slot)}${player.slot === session.slot ? " (you)" : ""}`,
          rating !== undefined &&
            el("span", { class: "rating", title: "rating" }, ` ${Math.round(rating)}`),
        );
      }),
    );
    const status =
      session.phase === "running"
        ? mine
          ? "Your turn"
          : "The other player's turn"
        : session.phase === "ended"
          ? "The game is over"
          : "Waiting for the other player …";
    setText(this.#status, session.phase === "running" ? `${status} · ${seconds} s` : status);
    if (status !== this.#said) {
      this.#said = status;
      announce(status);
    }
  }

  destroy(): void {
    this.#stage.host.replaceChildren();
  }
}

/** The three cells in a row that won; `undefined` where nobody has. */
export function winningLine(cells: readonly number[]): readonly number[] | undefined {
  return LINES.find(
    ([a, b, c]) => cells[a] !== 0 && cells[a] === cells[b] && cells[a] === cells[c],
  );
}

const MARKS = ["✕", "◯"];
const LINES = [
  [0, 1, 2],
  [3, 4, 5],
  [6, 7, 8],
  [0, 3, 6],
  [1, 4, 7],
  [2, 5, 8],
  [0, 4, 8],
  [2, 4, 6],
] as const;
