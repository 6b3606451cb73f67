/** Sparks, rings and shaking: all that is only for the eye. */
export class Effects {
  readonly #sparks: Spark[] = [];
  readonly #rings: Ring[] = [];
  readonly #calm: boolean;
  #shake = 0;

  constructor(calm: boolean) {
    this.#calm = calm;
  }

  /** Sparks from a point, in world units; `heading` narrows them to a cone. */
  burst(x: number, y: number, color: string, count: number, speed: number, heading?: number): void {
    const room = MAX_SPARKS - this.#sparks.length;
    for (let i = 0; i < Math.min(room, this.#calm ? count / 3 : count); i += 1) {
      const angle =
        heading === undefined ? Math.random() * Math.PI * 2 : heading + (Math.random() - 0.5) * 1.2;
      const pace = speed * (0.25 + Math.random() * 0.75);
      this.#sparks.push({
        x,
        y,
        vx: Math.cos(angle) * pace,
        vy: Math.sin(angle) * pace,
        life: 1,
        seconds: 0.25 + Math.random() * 0.5,
        size: 0.04 + Math.random() * 0.08,
        color,
      });
    }
  }

  /** A ring that widens and fades. */
  ring(x: number, y: number, color: string, radius: number, seconds: number): void {
    if (this.#rings.length < MAX_RINGS) {
      this.#rings.push({ x, y, color, radius, seconds, life: 1 });
    }
  }

  /** Shakes the picture by up to `strength` world units. */
  shake(strength: number): void {
    if (!this.#calm) {
      this.#shake = Math.min(MAX_SHAKE, this.#shake + strength);
    }
  }

  /** Moves on; answers the picture's offset in world units. */
  advance(seconds: number): { x: number; y: number } {
    for (const spark of this.#sparks) {
      spark.life -= seconds / spark.seconds;
      spark.x += spark.vx * seconds;
      spark.y += spark.vy * seconds;
      const drag = Math.exp(-3 * seconds);
      spark.vx *= drag;
      spark.vy *= drag;
    }
    for (const ring of this.#rings) {
      ring.life -= seconds / ring.seconds;
    }
    retain(this.#sparks);
    retain(this.#rings);
    this.#shake *= Math.exp(-9 * seconds);
    return {
      x: (Math.random() - 0.5) * 2 * this.#shake,
      y: (Math.random() - 0.5) * 2 * this.#shake,
    };
  }

  /** Draws in world units, light upon light. */
  draw(context: CanvasRenderingContext2D): void {
    context.lineCap = "round";
    for (const spark of this.#sparks) {
      context.globalAlpha = spark.life;
      context.strokeStyle = spark.color;
      context.lineWidth = spark.size * (0.4 + spark.life * 0.6);
      context.beginPath();
      context.moveTo(spark.x, spark.y);
      context.lineTo(spark.x - spark.vx * 0.035, spark.y - spark.vy * 0.035);
      context.stroke();
    }
    for (const ring of this.#rings) {
      const grown = 1 - ring.life ** 3;
      context.globalAlpha = ring.life * 0.8;
      context.strokeStyle = ring.color;
      context.lineWidth = 0.02 + 0.22 * ring.life;
      context.beginPath();
      context.arc(ring.x, ring.y, ring.radius * grown, 0, Math.PI * 2);
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}

function retain(items: { life: number }[]): void {
  let kept = 0;
  for (const item of items) {
    if (item.life > 0) {
      items[kept] = item;
      kept += 1;
    }
  }
  items.length = kept;
}

interface Spark {
  x: number;
  y: number;
  vx: number;
  vy: number;
  life: number;
  seconds: number;
  size: number;
  color: string;
}

interface Ring {
  x: number;
  y: number;
  color: string;
  radius: number;
  seconds: number;
  life: number;
}

const MAX_SPARKS = 500;
const MAX_RINGS = 40;
const MAX_SHAKE = 0.45;
