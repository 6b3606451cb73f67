import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The SDK's source, so that tests need no build.
  resolve: {
    alias: { "@gameserver/sdk": fileURLToPath(new URL("../sdk/src/index.ts", import.meta.url)) },
  },
  test: { include: ["test/**/*.test.ts"] },
});
