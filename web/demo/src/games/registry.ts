import { ArenaView } from "./arena.js";
import { ClashView } from "./clash.js";
import { GenericView } from "./generic.js";
import { TicTacToeView } from "./tic-tac-toe.js";
import type { GameView, Stage } from "./view.js";

/** The picture of a game: its own where there is one, else one by its schemas. */
export function createView(stage: Stage): GameView {
  const kinds = stage.session.manifest.entities;
  const has = (kind: string, ...names: string[]) =>
    kinds.some((k) => k.name === kind && names.every((n) => k.fields.some((f) => f.name === n)));
  // By what the game shows, not by its name alone: another game may be called the same.
  if (stage.session.game === "arena" && has("player", "x", "y", "aim", "health")) {
    return new ArenaView(stage);
  }
  if (has("fighter", "x", "y", "action", "since", "health") && has("round", "phase", "left")) {
    return new ClashView(stage);
  }
  if (has("board", "cell_0", "cell_8") && has("turn", "slot")) {
    return new TicTacToeView(stage);
  }
  return new GenericView(stage);
}
