import { calm } from "./dom.js";
import { slotColor } from "./games/view.js";

/** Slow lights behind the menus; stands still while a match is drawn. */
export function startBackdrop(canvas: HTMLCanvasElement): void {
  const context = canvas.getContext("2d");
  if (context === null) {
    return;
  }
  const lights = Array.from({ length: 26 }, (_, i) => ({
    x: Math.random(),
    y: Math.random(),
    vx: (Math.random() - 0.5) * 0.05,
    vy: (Math.random() - 0.5) * 0.05,
    color: slotColor(i % 3),
    size: 1 + Math.random() * 2,
  }));
  let before = performance.now();
  const draw = (now: number) => {
    requestAnimationFrame(draw);
    if (document.body.dataset.screen === "match" || now - before < FRAME_MS) {
      return;
    }
    const elapsed = Math.min(0.1, (now - before) / 1000);
    before = now;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.clearRect(0, 0, width, height);
    for (const [i, light] of lights.entries()) {
      if (!calm()) {
        light.x = (light.x + light.vx * elapsed + 1) % 1;
        light.y = (light.y + light.vy * elapsed + 1) % 1;
      }
      for (const other of lights.slice(i + 1)) {
        const dx = (light.x - other.x) * width;
        const dy = (light.y - other.y) * height;
        const near = 1 - Math.hypot(dx, dy) / REACH;
        if (near > 0) {
          context.globalAlpha = near * 0.3;
          context.strokeStyle = light.color;
          context.beginPath();
          context.moveTo(light.x * width, light.y * height);
          context.lineTo(other.x * width, other.y * height);
          context.stroke();
        }
      }
      context.globalAlpha = 0.8;
      context.fillStyle = light.color;
      context.beginPath();
      context.arc(light.x * width, light.y * height, light.size, 0, Math.PI * 2);
      context.fill();
    }
  };
  requestAnimationFrame(draw);
}

/** Thirty a second are enough for a background, and half the battery. */
const FRAME_MS = 32;
const REACH = 190;
