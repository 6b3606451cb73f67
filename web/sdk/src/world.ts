import type { EntityKind, Manifest } from "./manifest.js";
import {
  decodeSnapshot,
  type FieldValue,
  fieldValue,
  interpolateField,
  type SnapshotEntity,
} from "./snapshot.js";

/** An entity at the moment that is drawn. */
export interface Entity {
  readonly id: number;
  /** The kind's name in the manifest. */
  readonly kind: string;
  /** The owner's slot; -1: none. */
  readonly owner: number;
  readonly fields: Readonly<Record<string, FieldValue>>;
}

/** What became of a part of a snapshot. */
export type Applied = "applied" | "stale" | "malformed";

/**
 * The recent past of all entities, from parts of snapshots that come in any order, and views of
 * any moment in it.
 *
 * Each entity has a ring with one place a tick, so that a part is filed under its own tick and a
 * late one never covers a newer one.
 */
export class World {
  readonly #manifest: Manifest;
  readonly #stride: number;
  readonly #tracks = new Map<number, Track>();
  /** The parts of the last ticks: an entity that appears late may be gone by a newer one. */
  #parts: { tick: number; firstId: number; lastId: number; ids: ReadonlySet<number> }[] = [];
  #newest = 0;
  #oldest = 0;

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
    this.#stride = Math.max(1, manifest.maxColumns);
  }

  /** The newest tick of which there is a part; 0: none yet. */
  get newestTick(): number {
    return this.#newest;
  }

  /** The first tick of which there was a part; 0: none yet. */
  get oldestTick(): number {
    return this.#oldest;
  }

  /** Number of entities that are remembered, those gone of late among them. */
  get size(): number {
    return this.#tracks.size;
  }

  /** Files one part of the state after `tick`. */
  apply(tick: number, firstId: number, lastId: number, data: Uint8Array): Applied {
    if (tick === 0 || tick + HISTORY_TICKS <= this.#newest) {
      return "stale";
    }
    const known = this.#parts.some(
      (p) => p.tick === tick && p.firstId <= lastId && p.lastId >= firstId,
    );
    if (known) {
      return "stale";
    }
    const entities = decodeSnapshot(this.#manifest, firstId, lastId, data);
    if (entities === undefined) {
      return "malformed";
    }
    if (tick > this.#newest) {
      this.#newest = tick;
      this.#forget();
    }
    if (this.#oldest === 0 || tick < this.#oldest) {
      this.#oldest = tick;
    }
    const ids = new Set(entities.map((entity) => entity.id));
    for (const [id, track] of this.#tracks) {
      if (id >= firstId && id <= lastId && !ids.has(id)) {
        track.put(tick, undefined);
      }
    }
    for (const entity of entities) {
      this.#track(entity.id)?.put(tick, entity);
    }
    this.#parts.push({ tick, firstId, lastId, ids });
    if (this.#parts.length > MAX_PARTS) {
      this.#parts.shift();
    }
    return "applied";
  }

  /**
   * The entities at `tick`, which may lie between two ticks: those that exist then, each field as
   * the manifest says between its neighbours in time. Ascending by id.
   */
  view(tick: number): Entity[] {
    const entities: Entity[] = [];
    for (const track of this.#tracks.values()) {
      const from = track.atOrBefore(Math.floor(tick));
      if (from < 0 || track.kinds[from] < 0) {
        continue;
      }
      const kind = this.#manifest.entities[track.kinds[from]];
      const to = track.after(Math.floor(tick), this.#newest);
      const moves = to >= 0 && track.kinds[to] === track.kinds[from];
      const span = moves ? track.ticks[to] - track.ticks[from] : 1;
      const fraction = moves ? Math.min(1, Math.max(0, (tick - track.ticks[from]) / span)) : 0;
      entities.push({
        id: track.id,
        kind: kind.name,
        owner: track.owners[from],
        fields: this.#fields(kind, track, from, moves ? to : from, fraction),
      });
    }
    return entities.sort((a, b) => a.id - b.id);
  }

  /**
   * The newest columns of every entity of a kind, without an object a field: for games with
   * hundreds of them.
   */
  *columns(kindName: string): Iterable<{ id: number; owner: number; columns: Int32Array }> {
    const kind = this.#manifest.entities.findIndex((k) => k.name === kindName);
    for (const track of this.#tracks.values()) {
      const at = track.atOrBefore(this.#newest);
      if (at >= 0 && kind >= 0 && track.kinds[at] === kind) {
        const start = at * this.#stride;
        const count = this.#manifest.entities[kind].columns.length;
        yield {
          id: track.id,
          owner: track.owners[at],
          columns: track.columns.subarray(start, start + count),
        };
      }
    }
  }

  #fields(
    kind: EntityKind,
    track: Track,
    from: number,
    to: number,
    fraction: number,
  ): Record<string, FieldValue> {
    const values: Record<string, FieldValue> = {};
    const a = from * this.#stride;
    const b = to * this.#stride;
    for (const field of kind.fields) {
      values[field.name] =
        from === to
          ? fieldValue(field, track.columns, a)
          : interpolateField(field, track.columns, a, track.columns, b, fraction);
    }
    return values;
  }

  #track(id: number): Track | undefined {
    let track = this.#tracks.get(id);
    if (track === undefined && this.#tracks.size < MAX_TRACKS) {
      track = new Track(id, this.#stride);
      for (const part of this.#parts) {
        if (id >= part.firstId && id <= part.lastId && !part.ids.has(id)) {
          track.put(part.tick, undefined);
        }
      }
      this.#tracks.set(id, track);
    }
    return track;
  }

  #forget(): void {
    const horizon = this.#newest - HISTORY_TICKS;
    this.#parts = this.#parts.filter((part) => part.tick > horizon);
    // Looking at every track each tick would cost more than keeping the gone ones for a while.
    if (this.#newest % FORGET_EVERY_TICKS !== 0 && this.#tracks.size < MAX_TRACKS) {
      return;
    }
    for (const [id, track] of this.#tracks) {
      if (track.presentTick <= horizon) {
        const at = track.atOrBefore(this.#newest);
        if (at < 0 || track.kinds[at] < 0) {
          this.#tracks.delete(id);
        }
      }
    }
  }
}

class Track {
  readonly id: number;
  readonly ticks = new Float64Array(HISTORY_TICKS).fill(-1);
  /** The kind; -1: the entity did not exist in that tick. */
  readonly kinds = new Int16Array(HISTORY_TICKS);
  readonly owners = new Int8Array(HISTORY_TICKS);
  readonly columns: Int32Array;
  /** The newest tick in which it existed. */
  presentTick = -1;
  readonly #stride: number;

  constructor(id: number, stride: number) {
    this.id = id;
    this.#stride = stride;
    this.columns = new Int32Array(HISTORY_TICKS * stride);
  }

  put(tick: number, entity: SnapshotEntity | undefined): void {
    const at = tick % HISTORY_TICKS;
    if (tick < this.ticks[at]) {
      return;
    }
    this.ticks[at] = tick;
    this.kinds[at] = entity?.kind ?? -1;
    this.owners[at] = entity?.owner ?? -1;
    if (entity !== undefined) {
      this.columns.set(entity.columns, at * this.#stride);
      this.presentTick = Math.max(this.presentTick, tick);
    }
  }

  /** The place of the newest state at or before `tick`; -1: none. */
  atOrBefore(tick: number): number {
    let best = -1;
    for (let back = 0; back < HISTORY_TICKS && tick - back >= 0; back += 1) {
      const at = (tick - back) % HISTORY_TICKS;
      if (this.ticks[at] === tick - back) {
        return at;
      }
      if (this.ticks[at] <= tick && (best < 0 || this.ticks[at] > this.ticks[best])) {
        best = this.ticks[at] < 0 ? best : at;
      }
    }
    return best;
  }

  /** The place of the oldest state after `tick` and not after `newest`; -1: none. */
  after(tick: number, newest: number): number {
    const last = Math.min(newest, tick + HISTORY_TICKS - 1);
    for (let next = tick + 1; next <= last; next += 1) {
      const at = next % HISTORY_TICKS;
      if (this.ticks[at] === next) {
        return at;
      }
    }
    return -1;
  }
}

/** Longer than any sensible interpolation delay (250 ms at 120 ticks is 30). */
const HISTORY_TICKS = 64;
/** A tick of 4,096 entities takes a few dozen parts of 1,000 bytes; this holds several ticks. */
const MAX_PARTS = 1024;
/** Twice the entities that a net state may have, for those that came and went. */
const MAX_TRACKS = 8192;
const FORGET_EVERY_TICKS = 16;
