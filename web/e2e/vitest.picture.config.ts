import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

// Not a test, but played by the same hands: `npm run picture`.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ["picture/**/*.picture.ts"] },
});
