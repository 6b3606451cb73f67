/** The client core: WebAssembly made of `crates/client-wasm`, loaded once for a page. */

import init, { type InitOutput, sha256 } from "./client/gs_client.js";

export { MatchClient, stateHash } from "./client/gs_client.js";

/** What the page gives to load the client core from. */
export type ClientSource = string | URL | Response | BufferSource | WebAssembly.Module;

/**
 * Loads the client core; `join` does so by itself. Calling it early takes the time out of the
 * first match, and where a bundler or a server puts the file elsewhere than beside the script,
 * `source` says where. It is loaded once: later calls wait for the same.
 *
 * @throws where the file cannot be had or compiled; the next call tries again.
 */
export function loadClient(source?: ClientSource): Promise<InitOutput> {
  loading ??= load(source).catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** The client core's memory, in which its views lie; after {@link loadClient}. */
export async function clientMemory(): Promise<WebAssembly.Memory> {
  return (await loadClient()).memory;
}

/**
 * SHA-256 by the browser, or by the client core on a page that came over plain HTTP, to which
 * browsers do not give theirs.
 */
export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle !== undefined) {
    return new Uint8Array(await subtle.digest("SHA-256", bytes));
  }
  await loadClient();
  return sha256(bytes);
}

async function load(source: ClientSource | undefined): Promise<InitOutput> {
  if (source !== undefined) {
    return await init({ module_or_path: source });
  }
  const file = new URL("./client/gs_client_bg.wasm", import.meta.url);
  if (file.protocol !== "file:" || typeof process === "undefined") {
    return await init({ module_or_path: file });
  }
  // Node cannot fetch files. Bundlers for browsers should not look for its module.
  const name = "node:fs/promises";
  const { readFile } = (await import(/* @vite-ignore */ name)) as {
    readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
  };
  return await init({ module_or_path: await readFile(file) });
}

declare const process: unknown;

let loading: Promise<InitOutput> | undefined;
