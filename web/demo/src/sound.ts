/** Small synthesised sounds. Silent until the player has touched the page, as browsers want it. */
export class Sound {
  #context: AudioContext | undefined;
  #gain: GainNode | undefined;
  #on = localStorage.getItem(KEY) !== "off";

  constructor() {
    const wake = () => {
      if (this.#context === undefined && this.#on) {
        this.#context = new AudioContext();
        this.#gain = this.#context.createGain();
        this.#gain.gain.value = 0.22;
        this.#gain.connect(this.#context.destination);
      }
      void this.#context?.resume();
    };
    addEventListener("pointerdown", wake);
    addEventListener("keydown", wake);
  }

  get on(): boolean {
    return this.#on;
  }

  toggle(): boolean {
    this.#on = !this.#on;
    localStorage.setItem(KEY, this.#on ? "on" : "off");
    return this.#on;
  }

  play(name: keyof typeof SOUNDS, loudness = 1): void {
    const context = this.#context;
    const gain = this.#gain;
    if (!this.#on || context === undefined || gain === undefined || context.state !== "running") {
      return;
    }
    const { shape, from, to, seconds, volume } = SOUNDS[name];
    const start = context.currentTime;
    const oscillator = context.createOscillator();
    const envelope = context.createGain();
    oscillator.type = shape;
    oscillator.frequency.setValueAtTime(from, start);
    oscillator.frequency.exponentialRampToValueAtTime(to, start + seconds);
    envelope.gain.setValueAtTime(volume * loudness, start);
    envelope.gain.exponentialRampToValueAtTime(0.001, start + seconds);
    oscillator.connect(envelope).connect(gain);
    oscillator.start(start);
    oscillator.stop(start + seconds);
  }
}

const KEY = "gameserver.sound";

const SOUNDS = {
  shot: { shape: "square", from: 720, to: 180, seconds: 0.09, volume: 0.25 },
  hit: { shape: "triangle", from: 320, to: 120, seconds: 0.12, volume: 0.7 },
  hurt: { shape: "sawtooth", from: 160, to: 60, seconds: 0.2, volume: 0.6 },
  kill: { shape: "sawtooth", from: 520, to: 40, seconds: 0.45, volume: 0.6 },
  dash: { shape: "sine", from: 220, to: 880, seconds: 0.16, volume: 0.5 },
  pickup: { shape: "sine", from: 660, to: 1320, seconds: 0.2, volume: 0.5 },
  spawn: { shape: "sine", from: 330, to: 660, seconds: 0.25, volume: 0.4 },
  tick: { shape: "sine", from: 880, to: 870, seconds: 0.08, volume: 0.5 },
  place: { shape: "triangle", from: 440, to: 330, seconds: 0.12, volume: 0.7 },
  win: { shape: "triangle", from: 440, to: 1760, seconds: 0.6, volume: 0.6 },
  lose: { shape: "triangle", from: 440, to: 110, seconds: 0.6, volume: 0.6 },
} as const satisfies Record<
  string,
  { shape: OscillatorType; from: number; to: number; seconds: number; volume: number }
>;
