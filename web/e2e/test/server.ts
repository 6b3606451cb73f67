// Starts and stops the real server on free loopback ports.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Program } from "./program.js";

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

/**
 * What the tests run against, by `GAMESERVER_SETUP`:
 * - `embedded` (default): `gameserver dev` with its embedded store;
 * - `services`: `gameserver dev` on PostgreSQL and Redis;
 * - `processes`: `gameserver migrate`, `api` and `authority`, each a process, on PostgreSQL, Redis
 *   and a LiveKit server that uses the same Redis and sends its webhooks to the API.
 *
 * The latter two need `GAMESERVER_DATABASE_URL`, an empty database, and `GAMESERVER_REDIS_URL`.
 */
type Setup = "embedded" | "services" | "processes";

/** The server under test: one process, or several. */
export class Server {
  readonly url: string;
  /** A folder of its own, removed at the end. */
  readonly dataDir: string;
  readonly #port: number;
  readonly #setup = setup();
  readonly #programs: readonly Program[];

  private constructor(dataDir: string, port: number, programs: readonly Program[]) {
    this.dataDir = dataDir;
    this.#port = port;
    this.url = `http://127.0.0.1:${this.#port}`;
    this.#programs = programs;
  }

  /**
   * Serves tic-tac-toe, and the arena with these options: a match ends at the score or the time, and a
   * quick one has two players. `more` is the rest of the arena's configuration, `others` that of
   * further games.
   */
  static async start(
    arena: { match_seconds: number; score_limit: number },
    more: {
      readonly players?: number;
      readonly authority_mode?: "full" | "validated" | "observer";
      readonly matchmaking?: object;
    } = {},
    others: Readonly<Record<string, object>> = {},
  ): Promise<Server> {
    const dataDir = mkdtempSync(join(tmpdir(), "gameserver-e2e-"));
    const games = {
      arena: { module: moduleOf("arena"), options: arena, players: 2, ...more },
      "tic-tac-toe": { module: moduleOf("tic-tac-toe") },
      ...others,
    };
    const port = await freePort();
    switch (setup()) {
      case "embedded":
        return await Server.#dev(dataDir, port, ["--config", write(dataDir, { games })]);
      case "services":
        return await Server.#dev(dataDir, port, [
          "--config",
          write(dataDir, { games, ...stores() }),
        ]);
      case "processes":
        return await Server.#processes(dataDir, port, games);
    }
  }

  /** Serves every module in a folder, with its own defaults. */
  static async serve(folder: string): Promise<Server> {
    if (setup() !== "embedded") {
      throw new Error("a folder of games is served with GAMESERVER_SETUP=embedded alone");
    }
    const dataDir = mkdtempSync(join(tmpdir(), "gameserver-e2e-"));
    return await Server.#dev(dataDir, await freePort(), ["--games", folder]);
  }

  static async #dev(dataDir: string, port: number, games: readonly string[]): Promise<Server> {
    need(BIN, "cargo build -p gameserver");
    const data = join(dataDir, "data");
    const dev = new Program(
      BIN,
      ["dev", "--port", String(port), "--data-dir", data, ...games],
      /^ready http:\/\//m,
    );
    return await new Server(dataDir, port, [dev]).#started();
  }

  static async #processes(dataDir: string, port: number, games: object): Promise<Server> {
    need(BIN, "cargo build -p gameserver");
    const [authority, livekit, rtc] = [await freePort(), await freePort(), await freePort()];
    const { database, redis } = stores();
    const key = { api_key: "devkey", api_secret: "secretsecretsecretsecretsecretsecret" };
    const config = write(dataDir, {
      server: { host: "127.0.0.1", http_port: port },
      authority: { http_port: authority },
      livekit: { host: `ws://127.0.0.1:${livekit}`, ...key },
      database,
      redis,
      games,
    });
    const livekitConfig = {
      port: livekit,
      bind_addresses: ["127.0.0.1"],
      keys: { [key.api_key]: key.api_secret },
      logging: { level: "warn" },
      room: { auto_create: false },
      enable_data_tracks: false,
      redis: { address: new URL(redis.url).host },
      webhook: {
        api_key: key.api_key,
        urls: [`http://127.0.0.1:${port}/webhooks/livekit`],
      },
      rtc: {
        udp_port: rtc,
        tcp_port: rtc,
        node_ip: "127.0.0.1",
        use_external_ip: false,
        enable_loopback_candidate: true,
        interfaces: { includes: [process.platform === "linux" ? "lo" : "lo0"] },
        datachannel_lossy_target_latency: "100ms",
      },
    };
    const programs = [
      new Program(
        process.env.LIVEKIT_SERVER ?? "livekit-server",
        [],
        `http://127.0.0.1:${livekit}/`,
        { LIVEKIT_CONFIG: JSON.stringify(livekitConfig) },
        // Asked to end, it waits for those who are in its rooms.
        "SIGKILL",
      ),
      new Program(BIN, ["migrate", "--config", config], "ends"),
      new Program(BIN, ["authority", "--config", config], `http://127.0.0.1:${authority}/readyz`),
      new Program(BIN, ["api", "--demo", "--config", config], `http://127.0.0.1:${port}/readyz`),
    ];
    return await new Server(dataDir, port, programs).#started();
  }

  async #started(): Promise<this> {
    await this.restart();
    return this;
  }

  /** Starts it (again) on the same port and the same data. */
  async restart(): Promise<void> {
    await this.end();
    for (const program of this.#programs) {
      await program.start();
    }
  }

  /** Ends it as Ctrl-C does, and waits until it is gone. */
  async end(): Promise<void> {
    // Those that use another before the one that is used.
    for (const program of [...this.#programs].reverse()) {
      await program.end();
    }
  }

  /** Ends it without a chance to clean up. The next start, or `remove`, ends its LiveKit server. */
  async kill(): Promise<void> {
    const running = this.#programs.filter((program) => program.runs);
    if (running.length === 0) {
      throw new Error("there is no server to kill");
    }
    await Promise.all(running.map((program) => program.kill()));
  }

  /** The process of the LiveKit server that it runs. */
  get livekitPid(): number {
    return Number(readFileSync(this.#livekitPidFile, "utf8"));
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.end();
    // Where it ended in order, it has removed this file.
    if (this.#setup !== "processes" && existsSync(this.#livekitPidFile)) {
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
    return this.#programs.map((program) => program.log).join("\n");
  }

  get #livekitPidFile(): string {
    return join(this.dataDir, "data/livekit.pid");
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

function setup(): Setup {
  const named = process.env.GAMESERVER_SETUP ?? "embedded";
  if (named !== "embedded" && named !== "services" && named !== "processes") {
    throw new Error(`GAMESERVER_SETUP is ${named}; it can be embedded, services or processes`);
  }
  return named;
}

/** The sections of the configuration that name PostgreSQL and Redis. */
function stores(): { database: { url: string }; redis: { url: string } } {
  const url = (name: string): { url: string } => {
    const value = process.env[name];
    if (value === undefined) {
      throw new Error(`set ${name}, or let \`cargo xtask test\` start the servers`);
    }
    return { url: value };
  };
  return { database: url("GAMESERVER_DATABASE_URL"), redis: url("GAMESERVER_REDIS_URL") };
}

/** Writes a configuration; JSON is YAML. */
function write(folder: string, config: object): string {
  const file = join(folder, "config.yaml");
  writeFileSync(file, JSON.stringify(config, undefined, 2));
  return file;
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
