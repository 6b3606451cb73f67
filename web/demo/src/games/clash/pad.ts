import { Stick } from "../../controls.js";
import { el } from "../../dom.js";

/** Buttons as the game takes them. */
export const BUTTON = { left: 1, right: 2, jump: 4, block: 8, light: 16, heavy: 32 } as const;

/** Keyboard and thumbs as the buttons of a fighter. */
export class Pad {
  /** What is drawn for thumbs. */
  readonly root: HTMLElement;
  /** Whether fingers have been used. */
  touch = matchMedia("(pointer: coarse)").matches;
  readonly #stick: Stick;
  readonly #abort = new AbortController();
  readonly #held = new Map<string, number>();
  readonly #keys = new Set<string>();
  /** A press shorter than a tick still counts in the next one. */
  #pressed = 0;

  constructor(surface: HTMLElement) {
    const stick = el("div", { class: "stick move", "aria-hidden": "true" }, el("i"));
    this.#stick = new Stick(stick);
    this.root = el(
      "div",
      { class: "pads clash-pads" },
      stick,
      el(
        "div",
        { class: "clash-buttons" },
        this.#button("throw", "THROW", BUTTON.block | BUTTON.light),
        this.#button("heavy", "KICK", BUTTON.heavy),
        this.#button("block", "BLOCK", BUTTON.block),
        this.#button("light", "PUNCH", BUTTON.light),
      ),
    );
    const { signal } = this.#abort;
    addEventListener("keydown", (event) => this.#handleKey(event, true), { signal });
    addEventListener("keyup", (event) => this.#handleKey(event, false), { signal });
    addEventListener("blur", () => this.#release(), { signal });
    surface.addEventListener(
      "pointerdown",
      (event) => {
        if (event.pointerType !== "mouse") {
          this.touch = true;
          this.#stick.press(event);
        }
      },
      { signal },
    );
    addEventListener("pointermove", (event) => this.#stick.drag(event), { signal });
    for (const name of ["pointerup", "pointercancel"] as const) {
      addEventListener(name, (event) => this.#stick.lift(event), { signal });
    }
    surface.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  /** The buttons that are held now; short presses since the last call count. */
  sample(): number {
    let buttons = this.#pressed | stickButtons(this.#stick.x, this.#stick.y);
    for (const code of this.#keys) {
      buttons |= KEYS[code] ?? 0;
    }
    for (const held of this.#held.values()) {
      buttons |= held;
    }
    this.#pressed = 0;
    return buttons;
  }

  destroy(): void {
    this.#abort.abort();
  }

  #button(name: string, label: string, buttons: number): HTMLElement {
    const button = el("button", { type: "button", class: `clash-button ${name}` }, label);
    button.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.touch = true;
      button.setPointerCapture(event.pointerId);
      this.#held.set(name, buttons);
      this.#pressed |= buttons;
    });
    for (const up of ["pointerup", "pointercancel"] as const) {
      button.addEventListener(up, () => this.#held.delete(name));
    }
    return button;
  }

  #handleKey(event: KeyboardEvent, down: boolean): void {
    const target = event.target as HTMLElement | null;
    if (down && (target?.closest("input, textarea, button, select, a") || event.metaKey)) {
      return;
    }
    const buttons = KEYS[event.code];
    if (buttons === undefined) {
      return;
    }
    if (!down) {
      this.#keys.delete(event.code);
    } else if (!event.ctrlKey && !event.altKey) {
      event.preventDefault();
      if (!event.repeat) {
        this.#keys.add(event.code);
        this.#pressed |= buttons;
      }
    }
  }

  #release(): void {
    this.#keys.clear();
    this.#held.clear();
  }
}

/** What a stick under a thumb means: sideways walks, up jumps. */
export function stickButtons(x: number, y: number): number {
  let buttons = 0;
  if (Math.abs(x) > STICK_FROM) {
    buttons |= x > 0 ? BUTTON.right : BUTTON.left;
  }
  if (y < -JUMP_FROM) {
    buttons |= BUTTON.jump;
  }
  return buttons;
}

const KEYS: Readonly<Record<string, number>> = {
  KeyA: BUTTON.left,
  ArrowLeft: BUTTON.left,
  KeyD: BUTTON.right,
  ArrowRight: BUTTON.right,
  KeyW: BUTTON.jump,
  ArrowUp: BUTTON.jump,
  Space: BUTTON.jump,
  KeyS: BUTTON.block,
  ArrowDown: BUTTON.block,
  ShiftLeft: BUTTON.block,
  KeyJ: BUTTON.light,
  KeyX: BUTTON.light,
  KeyK: BUTTON.heavy,
  KeyC: BUTTON.heavy,
  KeyL: BUTTON.block | BUTTON.light,
  KeyV: BUTTON.block | BUTTON.light,
};
const STICK_FROM = 0.35;
const JUMP_FROM = 0.6;
