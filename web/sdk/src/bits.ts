/**
 * Reads a bit stream, least significant bit first in each byte.
 *
 * Reading past the end answers zeros and sets {@link BitReader.failed}, so that a decoder can
 * check once instead of after every field.
 */
export class BitReader {
  /** Whether more was read than there is, or a number was not well formed. */
  failed = false;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bits that are left. */
  get remaining(): number {
    return this.#bytes.length * 8 - this.#position;
  }

  /** An unsigned number of `count` bits, 0–32. */
  bits(count: number): number {
    if (count > this.remaining) {
      this.failed = true;
      return 0;
    }
    let value = 0;
    let taken = 0;
    while (taken < count) {
      const offset = this.#position & 7;
      const take = Math.min(8 - offset, count - taken);
      const part = (this.#bytes[this.#position >> 3] >> offset) & ((1 << take) - 1);
      // Multiplied, not shifted: 32-bit shifts would make the top bit a sign.
      value += part * 2 ** taken;
      taken += take;
      this.#position += take;
    }
    return value;
  }

  /** An Elias-gamma number, 1–2^32. */
  gamma(): number {
    let zeros = 0;
    while (this.bits(1) === 0) {
      zeros += 1;
      if (this.failed || zeros > MAX_GAMMA_ZEROS) {
        this.failed = true;
        return 1;
      }
    }
    let value = 1;
    for (let i = 0; i < zeros; i += 1) {
      value = value * 2 + this.bits(1);
    }
    if (this.failed || value > 2 ** 32) {
      this.failed = true;
      return 1;
    }
    return value;
  }
}

/** An id is a u32, and its successor, at most 2^32, has 32 bits after its first. */
const MAX_GAMMA_ZEROS = 32;
