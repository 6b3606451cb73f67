// Puts the client core's WebAssembly, which the compiler passes over, beside the compiled scripts.
import { cpSync, existsSync } from "node:fs";

const from = new URL("../src/client/", import.meta.url);
const to = new URL("../dist/client/", import.meta.url);
if (!existsSync(new URL("gs_client_bg.wasm", from))) {
  console.error("there is no sdk/src/client: make it with `cargo xtask client`");
  process.exit(1);
}
cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith(".stamp") });
