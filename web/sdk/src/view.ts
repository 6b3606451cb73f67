import type { MatchClient } from "./client/gs_client.js";
import type { EntityKind, Manifest } from "./manifest.js";

/** A field's value: a number, a truth, or a quaternion `[x, y, z, w]`. */
export type FieldValue = number | boolean | readonly [number, number, number, number];

/** An entity at the moment that is drawn. */
export interface Entity {
  readonly id: number;
  /** The kind's name in the manifest. */
  readonly kind: string;
  /** The owner's slot; -1: none. */
  readonly owner: number;
  readonly fields: Readonly<Record<string, FieldValue>>;
}

/**
 * All entities of a moment as columns of numbers, which lie in the client's own memory: read them
 * before anything else is asked of the session, and copy what is to be kept.
 */
export interface ViewTable {
  /** Number of entities. */
  readonly count: number;
  /** Their ids, ascending. */
  readonly ids: Uint32Array;
  /** Indices of their kinds in the manifest. */
  readonly kinds: Uint8Array;
  /** Their owners' slots; -1: none. */
  readonly owners: Int8Array;
  /** Where each entity's values start in `values`. */
  readonly first: Uint32Array;
  /** One number a field, in the manifest's order; 0 or 1 for a truth, four for a quaternion. */
  readonly values: Float64Array;
}

/** Reads views out of the client's memory. */
export class ViewReader {
  readonly #client: MatchClient;
  readonly #memory: WebAssembly.Memory;
  readonly #kinds: readonly EntityKind[];
  #count = 0;

  constructor(client: MatchClient, memory: WebAssembly.Memory, manifest: Manifest) {
    this.#client = client;
    this.#memory = memory;
    this.#kinds = manifest.entities;
  }

  /** Works out the view of a moment. */
  update(nowMs: number): void {
    this.#count = this.#client.view(nowMs);
  }

  table(): ViewTable {
    const client = this.#client;
    const count = this.#count;
    // Asked for anew each time: memory that grows is another buffer.
    const { buffer } = this.#memory;
    return {
      count,
      ids: new Uint32Array(buffer, client.viewIds(), count),
      kinds: new Uint8Array(buffer, client.viewKinds(), count),
      owners: new Int8Array(buffer, client.viewOwners(), count),
      first: new Uint32Array(buffer, client.viewFirst(), count),
      values: new Float64Array(buffer, client.viewValues(), client.viewValueCount()),
    };
  }

  entities(): Entity[] {
    const { count, ids, kinds, owners, first, values } = this.table();
    const entities: Entity[] = [];
    for (let i = 0; i < count; i += 1) {
      const kind = this.#kinds[kinds[i]];
      if (kind === undefined) {
        continue;
      }
      const fields: Record<string, FieldValue> = {};
      let at = first[i];
      for (const { name, type } of kind.fields) {
        if (type === "quat") {
          fields[name] = [values[at], values[at + 1], values[at + 2], values[at + 3]];
          at += 4;
        } else {
          fields[name] = type === "bool" ? values[at] !== 0 : values[at];
          at += 1;
        }
      }
      entities.push({ id: ids[i], kind: kind.name, owner: owners[i], fields });
    }
    return entities;
  }
}
