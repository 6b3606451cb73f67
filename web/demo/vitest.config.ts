import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["source", "module", "import"] },
  test: { include: ["test/**/*.test.ts"] },
});
