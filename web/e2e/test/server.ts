// Starts and stops the real server, with its own LiveKit, on a free loopback port.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The checkout. */
export const ROOT = resolve(import.meta.dirname, "../../..");
/** The server's binary. */
export const BIN = process.env.GAMESERVER_BIN ?? join(ROOT, "target/debug/gameserver");
/** The folder with the modules. */
export const GAMES = process.env.GAMESERVER_GAMES ?? join(ROOT, "target/games");

/** The module of a game that ships, as `cargo xtask game` built it. */
export function moduleOf(game: string): string {
  const file = join(GAMES, `${game}.wasm`);
  need(file, "cargo xtask game");
  return file;
}

/** A running `gameserver dev`. */
export class Server {
  readonly url: string;
  /** A folder of its own, removed at the end. */
  readonly dataDir: string;
  readonly #games: readonly string[];
  readonly #port: number;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(port: number, dataDir: string, games: readonly string[]) {
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.dataDir = dataDir;
    this.#games = games;
  }

  /**
   * Serves tic-tac-toe, and the arena with these options: a match ends at the score or the time, and a
   * quick one has so many players. The arena's authority is as the server chooses, or as given.
   */
  static async start(
    arena: { match_seconds: number; score_limit: number },
    players = 2,
    mode?: "full" | "validated" | "observer",
  ): Promise<Server> {
    const dataDir = mkdtempSync(join(tmpdir(), "gameserver-e2e-"));
    const config = join(dataDir, "config.yaml");
    writeFileSync(
      config,
      [
        "games:",
        "  arena:",
        `    module: ${JSON.stringify(moduleOf("arena"))}`,
        `    options: ${JSON.stringify(arena)}`,
        `    players: ${players}`,
        ...(mode === undefined ? [] : [`    authority_mode: ${mode}`]),
        "  tic-tac-toe:",
        `    module: ${JSON.stringify(moduleOf("tic-tac-toe"))}`,
        "",
      ].join("\n"),
    );
    return await Server.#run(dataDir, ["--config", config]);
  }

  /** Serves every module in a folder, with its own defaults. */
  static async serve(folder: string): Promise<Server> {
    return await Server.#run(mkdtempSync(join(tmpdir(), "gameserver-e2e-")), ["--games", folder]);
  }

  static async #run(dataDir: string, games: readonly string[]): Promise<Server> {
    need(BIN, "cargo build -p gameserver");
    const server = new Server(await freePort(), dataDir, games);
    await server.restart();
    return server;
  }

  /** Starts it (again) on the same port and the same data. */
  async restart(): Promise<void> {
    await this.end();
    const child = spawn(
      BIN,
      [
        "dev",
        "--port",
        String(this.#port),
        "--data-dir",
        join(this.dataDir, "data"),
        ...this.#games,
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = child;
    let stdout = "";
    child.stderr.on("data", (chunk: Buffer) => this.#remember(chunk));
    await new Promise<void>((ready, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`the server was not ready in ${READY_MS} ms:\n${this.#log}`)),
        READY_MS,
      );
      child.stdout.on("data", (chunk: Buffer) => {
        this.#remember(chunk);
        stdout += chunk.toString();
        if (/^ready http:\/\//m.test(stdout)) {
          clearTimeout(timer);
          ready();
        }
      });
      child.on("error", fail);
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        fail(new Error(`the server ended with ${code ?? signal}:\n${this.#log}`));
      });
    });
  }

  /** Ends it as Ctrl-C does, and waits until it is gone. */
  async end(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const gone = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await gone;
    clearTimeout(timer);
  }

  /** Ends it without a chance to clean up. The next start, or `remove`, ends its LiveKit server. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error("there is no server to kill");
    }
    const gone = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGKILL");
    await gone;
  }

  /** The process of the LiveKit server that it runs. */
  get livekitPid(): number {
    return Number(readFileSync(this.#livekitPidFile, "utf8"));
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.end();
    // Where it ended in order, it has removed this file.
    if (existsSync(this.#livekitPidFile)) {
      try {
        process.kill(this.livekitPid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** `GET path` as JSON. */
  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path);
    if (!response.ok) {
      throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    }
    return (await response.json()) as T;
  }

  /** The end of the server's log, for a failed test. */
  get log(): string {
    return this.#log;
  }

  get #livekitPidFile(): string {
    return join(this.dataDir, "data/livekit.pid");
  }

  #remember(chunk: Buffer): void {
    this.#log = (this.#log + chunk.toString()).slice(-20_000);
  }
}

/** Waits until `check` answers something, asking again and again until the deadline. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await check();
    if (answer !== undefined && answer !== false && answer !== null) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    }
    await new Promise((next) => setTimeout(next, 50));
  }
}

function need(path: string, command: string): void {
  if (!existsSync(path)) {
    throw new Error(`there is no ${path}: make it with \`${command}\``);
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null
          ? done(address.port)
          : fail(new Error("no port")),
      );
    });
  });
}

const READY_MS = 45_000;
const END_MS = 15_000;
