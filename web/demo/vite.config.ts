import { defineConfig } from "vite";

// The API is same-origin in production; in development its paths go to a local server.
const API = [
  "/auth",
  "/match",
  "/matches",
  "/games",
  "/stats",
  "/leaderboard",
  "/players",
  "/account",
  "/parties",
];
const server = process.env.GAMESERVER_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  server: { proxy: Object.fromEntries(API.map((path) => [path, server])) },
  build: {
    target: "es2022",
    // livekit-client alone is 530 kB, in a chunk of its own that browsers keep.
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "livekit", test: /node_modules\/livekit/ }] } },
    },
  },
});
