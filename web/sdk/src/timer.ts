/** A running timer. */
export interface Timer {
  stop(): void;
}

/**
 * Calls `tick` each `intervalMs` from a worker's timer: browsers slow the page's own timers to one
 * a second in a hidden tab, and a hidden player would stand still. Where no worker can be made (a
 * strict content policy, Node) the page's timer has to do.
 */
export function startTimer(intervalMs: number, tick: () => void): Timer {
  try {
    const source = `setInterval(() => postMessage(0), ${Number(intervalMs)});`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url);
    let fallback: Timer | undefined;
    worker.onmessage = tick;
    worker.onerror = () => {
      worker.terminate();
      fallback ??= pageTimer(intervalMs, tick);
    };
    return {
      stop: () => {
        worker.terminate();
        URL.revokeObjectURL(url);
        fallback?.stop();
      },
    };
  } catch {
    return pageTimer(intervalMs, tick);
  }
}

function pageTimer(intervalMs: number, tick: () => void): Timer {
  const id = setInterval(tick, intervalMs);
  return { stop: () => clearInterval(id) };
}
