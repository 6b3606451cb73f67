// A child process that is started, waited for, ended or killed, and started again.
import { type ChildProcess, spawn } from "node:child_process";

/** A program of the setup under test. */
export class Program {
  readonly #name: string;
  readonly #binary: string;
  readonly #args: readonly string[];
  readonly #ready: RegExp | string;
  readonly #env: Record<string, string>;
  readonly #endBy: NodeJS.Signals;
  #process: ChildProcess | undefined;
  #log = "";

  /**
   * It is ready when its output matches the expression, when the address answers 200, or, with
   * `"ends"`, when it has ended with success.
   */
  constructor(
    binary: string,
    args: readonly string[],
    ready: RegExp | string,
    env: Record<string, string> = {},
    endBy: NodeJS.Signals = "SIGINT",
  ) {
    this.#name = [binary.slice(binary.lastIndexOf("/") + 1), ...args.slice(0, 1)].join(" ");
    this.#binary = binary;
    this.#args = args;
    this.#ready = ready;
    this.#env = env;
    this.#endBy = endBy;
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<void> {
    const child = spawn(this.#binary, this.#args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.#env },
    });
    this.#process = child;
    child.stdout.on("data", (chunk: Buffer) => this.#remember(chunk));
    child.stderr.on("data", (chunk: Buffer) => this.#remember(chunk));
    await new Promise<void>((ready, fail) => {
      const timer = setTimeout(
        () => end(() => fail(this.#error(`was not ready in ${READY_MS} ms`))),
        READY_MS,
      );
      let ended = false;
      const end = (then: () => void): void => {
        ended = true;
        clearTimeout(timer);
        then();
      };
      child.on("error", (error) => end(() => fail(this.#error(error.message))));
      child.on("exit", (code, signal) => {
        if (this.#ready === "ends" && code === 0) {
          end(ready);
        } else {
          end(() => fail(this.#error(`ended with ${code ?? signal}`)));
        }
      });
      if (this.#ready instanceof RegExp) {
        const expected = this.#ready;
        let stdout = "";
        child.stdout.on("data", (chunk: Buffer) => {
          stdout += chunk.toString();
          if (!ended && expected.test(stdout)) {
            end(ready);
          }
        });
      } else if (this.#ready !== "ends") {
        const address = this.#ready;
        const ask = async (): Promise<void> => {
          while (!ended) {
            const answer = await fetch(address).catch(() => undefined);
            await answer?.body?.cancel();
            if (answer?.ok === true && !ended) {
              end(ready);
            }
            await new Promise((next) => setTimeout(next, 50));
          }
        };
        void ask();
      }
    });
  }

  /** Whether it was started and has not ended. */
  get runs(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Ends it, as Ctrl-C does unless it was made otherwise, and waits until it is gone. */
  async end(): Promise<void> {
    await this.#end(this.#endBy);
  }

  /** Ends it without a chance to clean up. */
  async kill(): Promise<void> {
    if (!this.runs) {
      throw this.#error("does not run, so it cannot be killed");
    }
    await this.#end("SIGKILL");
  }

  /** The end of its log. */
  get log(): string {
    return this.#log;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const gone = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await gone;
    clearTimeout(timer);
  }

  #remember(chunk: Buffer): void {
    this.#log = (this.#log + chunk.toString()).slice(-20_000);
  }

  #error(what: string): Error {
    return new Error(`${this.#name} ${what}:\n${this.#log}`);
  }
}

const READY_MS = 45_000;
const END_MS = 15_000;
