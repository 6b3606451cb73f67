import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["source", "module", "import"] },
  test: {
    include: ["test/**/*.test.ts"],
    // Each file starts a server, LiveKit and a browser: one after the other.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
