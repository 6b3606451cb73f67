/** What the player does at the moment, whatever it does it with. */
export interface Intent {
  /** −1..1, to the right. */
  moveX: number;
  /** −1..1, down. */
  moveY: number;
  /** Radians, 0 to the right, clockwise on screen. */
  aim: number;
  fire: boolean;
  dash: boolean;
}

/** Keyboard, mouse and two thumbs as one {@link Intent}. */
export class Controls {
  /** Where the player is on the screen, in CSS pixels: the mouse aims from there. */
  origin: { x: number; y: number } = { x: innerWidth / 2, y: innerHeight / 2 };
  /** Whether fingers have been used: then sticks are drawn. */
  touch = matchMedia("(pointer: coarse)").matches;
  readonly #surface: HTMLElement;
  readonly #abort = new AbortController();
  readonly #keys = new Set<string>();
  readonly #sticks: { move: Stick; aim: Stick };
  #mouse: { x: number; y: number } | undefined;
  #firing = false;
  #aim = 0;
  /** A press shorter than a tick still counts in the next one. */
  #dashed = false;
  #fired = false;

  constructor(surface: HTMLElement, sticks: { move: HTMLElement; aim: HTMLElement }) {
    this.#surface = surface;
    this.#sticks = { move: new Stick(sticks.move), aim: new Stick(sticks.aim) };
    const { signal } = this.#abort;
    addEventListener("keydown", (event) => this.#handleKey(event, true), { signal });
    addEventListener("keyup", (event) => this.#handleKey(event, false), { signal });
    addEventListener("blur", () => this.#release(), { signal });
    surface.addEventListener("pointerdown", (event) => this.#handleDown(event), { signal });
    addEventListener("pointermove", (event) => this.#handleMove(event), { signal });
    addEventListener("pointerup", (event) => this.#handleUp(event), { signal });
    addEventListener("pointercancel", (event) => this.#handleUp(event), { signal });
    surface.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  /** Presses dash, for the button on the screen. */
  dash(): void {
    this.#dashed = true;
  }

  /** The aim for drawing, in radians. */
  get aim(): number {
    return this.#aim;
  }

  /** What is done now; short presses since the last call count. */
  sample(): Intent {
    const { move, aim } = this.#sticks;
    const key = (...codes: string[]) => (codes.some((code) => this.#keys.has(code)) ? 1 : 0);
    let x = key("KeyD", "ArrowRight") - key("KeyA", "ArrowLeft") + move.x;
    let y = key("KeyS", "ArrowDown") - key("KeyW", "ArrowUp") + move.y;
    const length = Math.hypot(x, y);
    if (length > 1) {
      x /= length;
      y /= length;
    }
    if (aim.active) {
      if (Math.hypot(aim.x, aim.y) > AIM_FROM) {
        this.#aim = Math.atan2(aim.y, aim.x);
      }
    } else if (this.touch && this.#mouse === undefined) {
      if (length > AIM_FROM) {
        this.#aim = Math.atan2(y, x);
      }
    } else if (this.#mouse !== undefined) {
      this.#aim = Math.atan2(this.#mouse.y - this.origin.y, this.#mouse.x - this.origin.x);
    }
    const intent = {
      moveX: x,
      moveY: y,
      aim: this.#aim,
      fire: this.#firing || this.#fired || Math.hypot(aim.x, aim.y) > FIRE_FROM,
      dash: this.#dashed || key("Space", "ShiftLeft", "ShiftRight") === 1,
    };
    this.#dashed = false;
    this.#fired = false;
    return intent;
  }

  destroy(): void {
    this.#abort.abort();
  }

  #handleKey(event: KeyboardEvent, down: boolean): void {
    const target = event.target as HTMLElement | null;
    if (down && (target?.closest("input, textarea, button, select, a") || event.metaKey)) {
      return;
    }
    if (down && GAME_KEYS.has(event.code)) {
      event.preventDefault();
    }
    if (!down) {
      this.#keys.delete(event.code);
    } else if (!event.repeat && !event.ctrlKey && !event.altKey) {
      this.#keys.add(event.code);
      this.#dashed ||= event.code === "Space" || event.code.startsWith("Shift");
    }
  }

  #handleDown(event: PointerEvent): void {
    if (event.pointerType === "mouse") {
      this.#mouse = { x: event.clientX, y: event.clientY };
      this.#firing ||= event.button === 0;
      this.#fired ||= event.button === 0;
      this.#dashed ||= event.button === 2;
      return;
    }
    this.touch = true;
    this.#mouse = undefined;
    const half = this.#surface.getBoundingClientRect();
    const left = event.clientX < half.left + half.width / 2;
    (left ? this.#sticks.move : this.#sticks.aim).press(event);
  }

  #handleMove(event: PointerEvent): void {
    if (event.pointerType === "mouse") {
      this.#mouse = { x: event.clientX, y: event.clientY };
    } else {
      this.#sticks.move.drag(event);
      this.#sticks.aim.drag(event);
    }
  }

  #handleUp(event: PointerEvent): void {
    if (event.pointerType === "mouse") {
      this.#firing &&= event.button !== 0;
    } else {
      this.#sticks.move.lift(event);
      this.#sticks.aim.lift(event);
    }
  }

  #release(): void {
    this.#keys.clear();
    this.#firing = false;
  }
}

/** A stick under a thumb: it stands where the thumb comes down. */
export class Stick {
  x = 0;
  y = 0;
  readonly #element: HTMLElement;
  #pointer: number | undefined;
  #from = { x: 0, y: 0 };

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  get active(): boolean {
    return this.#pointer !== undefined;
  }

  press(event: { pointerId: number; clientX: number; clientY: number }): void {
    if (this.#pointer !== undefined) {
      return;
    }
    this.#pointer = event.pointerId;
    this.#from = { x: event.clientX, y: event.clientY };
    this.#element.style.setProperty("--from-x", `${event.clientX}px`);
    this.#element.style.setProperty("--from-y", `${event.clientY}px`);
    this.#element.classList.add("held");
    this.#set(0, 0);
  }

  drag(event: { pointerId: number; clientX: number; clientY: number }): void {
    if (event.pointerId === this.#pointer) {
      this.#set(
        (event.clientX - this.#from.x) / STICK_RADIUS,
        (event.clientY - this.#from.y) / STICK_RADIUS,
      );
    }
  }

  lift(event: { pointerId: number }): void {
    if (event.pointerId === this.#pointer) {
      this.#pointer = undefined;
      this.#element.classList.remove("held");
      this.#set(0, 0);
    }
  }

  #set(x: number, y: number): void {
    const length = Math.max(1, Math.hypot(x, y));
    this.x = x / length;
    this.y = y / length;
    this.#element.style.setProperty("--x", `${this.x * STICK_RADIUS}px`);
    this.#element.style.setProperty("--y", `${this.y * STICK_RADIUS}px`);
  }
}

const GAME_KEYS = new Set(["Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
/** CSS pixels from the middle of a stick to its rim: a thumb's comfortable reach. */
const STICK_RADIUS = 52;
const AIM_FROM = 0.15;
/** A light push aims, a full one fires. */
const FIRE_FROM = 0.55;
