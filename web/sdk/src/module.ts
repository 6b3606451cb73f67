/**
 * A game's module beside the client: fetched by its hash, held against it, compiled once, and
 * called by the client core (docs/game-module.md).
 */

import { ApiError, type Fetch } from "./http.js";

/** What went wrong with a game's module. */
export class ModuleError extends Error {
  override readonly name = "ModuleError";
}

/** Computes a SHA-256. */
export type Digest = (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

/**
 * Modules by hash: each is fetched and compiled once, however often it is asked for. One that
 * could not be had is forgotten, so that asking again tries again.
 */
export class ModuleCache {
  readonly #fetch: Fetch;
  readonly #base: string;
  readonly #digest: Digest;
  readonly #modules = new Map<string, Promise<WebAssembly.Module>>();

  constructor(fetch: Fetch, base: string, digest: Digest) {
    this.#fetch = fetch;
    this.#base = base;
    this.#digest = digest;
  }

  /**
   * The compiled module of a game.
   *
   * @throws {ModuleError} where it is not what the hash says, or no module; {@link ApiError} where
   * it cannot be had.
   */
  get(game: string, sha256: string): Promise<WebAssembly.Module> {
    let module = this.#modules.get(sha256);
    if (module === undefined) {
      module = this.#load(game, sha256);
      this.#modules.set(sha256, module);
      module.catch(() => this.#modules.delete(sha256));
      // Games change while they are made: of each, only the last few are played.
      for (const old of [...this.#modules.keys()].slice(0, -MAX_MODULES)) {
        this.#modules.delete(old);
      }
    }
    return module;
  }

  async #load(game: string, sha256: string): Promise<WebAssembly.Module> {
    const path = `/games/${encodeURIComponent(game)}/module/${encodeURIComponent(sha256)}`;
    let response: Response;
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      response = await this.#fetch(this.#base + path, { method: "GET" });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      throw new ApiError(0, {
        title: "The game's module cannot be fetched",
        detail: error instanceof Error ? error.message : String(error),
      });
    }
    if (!response.ok) {
      throw new ApiError(response.status, {
        title: `The game's module cannot be fetched: HTTP ${response.status}`,
      });
    }
    const found = hex(await this.#digest(bytes));
    if (found !== sha256) {
      throw new ModuleError(`the module of ${game} has the hash ${found}, expected ${sha256}`);
    }
    try {
      return await WebAssembly.compile(bytes);
    } catch (error) {
      throw new ModuleError(`the module of ${game} cannot be compiled: ${String(error)}`);
    }
  }
}

/**
 * An instance of a game's module, called by the client core, which keeps its memory to itself:
 * bytes are copied from one to the other.
 */
export class ModuleInstance {
  readonly #exports: Exports;
  /** The module's memory as it is; replaced when the module grows it. */
  #bytes: Uint8Array;

  private constructor(exports: Exports) {
    this.#exports = exports;
    this.#bytes = new Uint8Array(exports.memory.buffer);
  }

  /**
   * Makes an instance. A module gets no imports, so there is nothing that it could reach.
   *
   * @throws {ModuleError} where it wants imports, lacks an export, or traps at its start.
   */
  static async create(module: WebAssembly.Module): Promise<ModuleInstance> {
    let instance: WebAssembly.Instance;
    try {
      instance = await WebAssembly.instantiate(module, {});
    } catch (error) {
      throw new ModuleError(`the game's module cannot be started: ${String(error)}`);
    }
    const exports = instance.exports;
    const missing = FUNCTIONS.find((name) => typeof exports[name] !== "function");
    if (missing !== undefined || !(exports.memory instanceof WebAssembly.Memory)) {
      throw new ModuleError(`the game's module does not export ${missing ?? "memory"}`);
    }
    return new ModuleInstance(exports as unknown as Exports);
  }

  /** Calls an export: with its number and its input, where it takes them. */
  call(name: Callable, argument: number, input?: Uint8Array): number {
    const call = this.#exports[name] as (...values: number[]) => number;
    if (input === undefined) {
      return call(argument);
    }
    this.#pass(input);
    return call.length > 1 ? call(argument, input.length) : call(input.length);
  }

  /** Calls `gs_init`. */
  init(seed: bigint, input: Uint8Array): number {
    this.#pass(input);
    return this.#exports.gs_init(BigInt.asIntN(64, seed), input.length);
  }

  /** Copies what the last call answered. */
  read(out: Uint8Array): void {
    const at = this.#exports.gs_output() >>> 0;
    out.set(this.#part(at, out.length));
  }

  /** What the module says of its panic. It has just failed, so it is trusted with nothing. */
  panicText(): string {
    try {
      const length = this.#exports.gs_panic();
      if (length <= 0) {
        return "";
      }
      const at = this.#exports.gs_output() >>> 0;
      const shown = this.#part(at, length).slice(0, MAX_PANIC_BYTES);
      return new TextDecoder().decode(shown).trim();
    } catch {
      return "";
    }
  }

  #pass(input: Uint8Array): void {
    const at = this.#exports.gs_input(input.length) >>> 0;
    if (at === 0) {
      throw new ModuleError(`gs_input refused ${input.length} bytes`);
    }
    this.#part(at, input.length).set(input);
  }

  #part(at: number, length: number): Uint8Array {
    if (this.#bytes.buffer !== this.#exports.memory.buffer) {
      this.#bytes = new Uint8Array(this.#exports.memory.buffer);
    }
    if (at + length > this.#bytes.length) {
      throw new ModuleError(
        `the module names ${length} bytes at ${at}, its memory has ${this.#bytes.length}`,
      );
    }
    return this.#bytes.subarray(at, at + length);
  }
}

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

type Callable = Exclude<
  (typeof FUNCTIONS)[number],
  "gs_init" | "gs_input" | "gs_output" | "gs_panic"
>;

type Exports = { readonly memory: WebAssembly.Memory } & {
  readonly gs_init: (seed: bigint, length: number) => number;
  readonly gs_input: (length: number) => number;
  readonly gs_output: () => number;
  readonly gs_panic: () => number;
} & Readonly<Record<Callable, unknown>>;

const FUNCTIONS = [
  "gs_abi_version",
  "gs_input",
  "gs_output",
  "gs_init",
  "gs_step",
  "gs_check",
  "gs_save",
  "gs_load",
  "gs_load_view",
  "gs_net_state",
  "gs_panic",
] as const;

/** As on the server, where it goes to a log line. */
const MAX_PANIC_BYTES = 4096;
/** A few games, in a few versions each: compiled modules take memory. */
const MAX_MODULES = 8;
