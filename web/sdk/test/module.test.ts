import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { ApiError, type Fetch } from "../src/http.js";
import { hex, ModuleCache, ModuleError, ModuleInstance } from "../src/module.js";
import { digest, loadClient, stateHash } from "../src/wasm.js";

const FILE = new URL("../../../target/games/tic-tac-toe.wasm", import.meta.url);
let bytes: Uint8Array<ArrayBuffer>;
let sha256: string;
beforeAll(() => {
  if (!existsSync(FILE)) {
    throw new Error(`there is no ${FILE.pathname}: make it with \`cargo xtask game\``);
  }
  bytes = new Uint8Array(readFileSync(FILE));
  sha256 = createHash("sha256").update(bytes).digest("hex");
});

/** A server that answers these one after the other, the last of them for ever. */
function serves(...answers: (Response | Error)[]): Fetch & { urls: string[] } {
  const urls: string[] = [];
  const fetcher = async (url: string) => {
    urls.push(url);
    const answer = answers[Math.min(urls.length, answers.length) - 1];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer.clone();
  };
  return Object.assign(fetcher, { urls });
}

test("a module is fetched by its hash, once", async () => {
  const server = serves(new Response(bytes));
  const cache = new ModuleCache(server, "https://play.example", digest);
  const [one, other] = await Promise.all([cache.get("ttt", sha256), cache.get("ttt", sha256)]);
  expect(one).toBe(other);
  expect(server.urls).toEqual([`https://play.example/games/ttt/module/${sha256}`]);
});

test("bytes of another hash are no module of the match's", async () => {
  const changed = bytes.slice();
  changed[changed.length - 1] ^= 1;
  const cache = new ModuleCache(serves(new Response(changed)), "", digest);
  await expect(cache.get("ttt", sha256)).rejects.toThrow(ModuleError);
  await expect(cache.get("ttt", sha256)).rejects.toThrow(sha256);
});

test("a module that could not be had is asked for again", async () => {
  const server = serves(new Error("cut"), new Response("", { status: 503 }), new Response(bytes));
  const cache = new ModuleCache(server, "", digest);
  await expect(cache.get("ttt", sha256)).rejects.toMatchObject({ status: 0 });
  await expect(cache.get("ttt", sha256)).rejects.toThrow(ApiError);
  expect(await cache.get("ttt", sha256)).toBeInstanceOf(WebAssembly.Module);
});

test("the hash is the same with and without the browser's own", async () => {
  expect(hex(await digest(bytes))).toBe(sha256);
  const subtle = Object.getOwnPropertyDescriptor(crypto, "subtle");
  Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true });
  try {
    expect(hex(await digest(bytes))).toBe(sha256);
  } finally {
    if (subtle === undefined) {
      Reflect.deleteProperty(crypto, "subtle");
    } else {
      Object.defineProperty(crypto, "subtle", subtle);
    }
  }
});

test("an instance takes bytes and answers them, and says why it stopped", async () => {
  const module = await ModuleInstance.create(await WebAssembly.compile(bytes));
  const read = (length: number) => {
    expect(length).toBeGreaterThanOrEqual(0);
    const out = new Uint8Array(length);
    module.read(out);
    return out;
  };
  expect(module.call("gs_abi_version", 0)).toBe(1);
  const config = new TextEncoder().encode('{"players":2,"teams":0,"options":{}}');
  expect(module.init(0xffff_ffff_ffff_fff0n, config)).toBe(0);
  // Tick 1: both join, and neither has an input.
  const log = Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0);
  read(module.call("gs_step", 0, log));
  const saved = read(module.call("gs_save", 0));
  const hash = (await loadClient()) && stateHash(saved);
  expect(module.call("gs_load", 0, saved)).toBe(0);
  expect(stateHash(read(module.call("gs_save", 0)))).toBe(hash);
  expect(module.call("gs_net_state", -1)).toBeGreaterThan(2);
  expect(module.call("gs_load", 0, new Uint8Array(3))).toBeLessThan(0);
  expect(() => module.read(new Uint8Array(0x7fff_ffff))).toThrow();
});

test("what imports something, or exports too little, is refused", async () => {
  // (module (import "env" "f" (func)))
  const importing = "0061736d0100000001040160000002090103656e7601660000";
  for (const text of [importing, "0061736d01000000"]) {
    const module = await WebAssembly.compile(new Uint8Array(Buffer.from(text, "hex")));
    await expect(ModuleInstance.create(module)).rejects.toThrow(ModuleError);
  }
});
