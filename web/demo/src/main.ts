import "./style.css";
import "./match.css";
import "./matchmaking.css";
import "./games.css";
import { App } from "./app.js";
import { startBackdrop } from "./backdrop.js";

const host = document.getElementById("app");
const backdrop = document.getElementById("backdrop");
if (host !== null && backdrop instanceof HTMLCanvasElement) {
  startBackdrop(backdrop);
  const app = new App(host);
  // For the console, and for the tests that look at what a player sees.
  Object.assign(globalThis, { gameserver: app });
  void app.start();
}
