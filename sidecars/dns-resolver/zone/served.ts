/**
 * The zone as the engines serve it: one flat piece of shared memory, which every thread reads where it
 * lies. A hash table over lower-case names in wire form leads to nodes, a node's entries to answers
 * that are written already, and every node to its zone with the SOA for negative answers. zone/build.ts
 * writes it; this file says where what stands, and finds names in it.
 */

/** What buildZone made, to be handed from thread to thread. */
export interface Served {
  readonly image: SharedArrayBuffer;
  readonly epoch: string;
  readonly generation: number;
  readonly recordCount: number;
}

/** The same, to read. */
export interface ServedView {
  readonly served: Served;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  /** False: nothing is known of the zone's names yet. */
  readonly loaded: boolean;
  readonly tableWord: number;
  readonly tableMask: number;
}

/** Words of the image's head. */
export const headWords = { loaded: 0, tableWord: 1, tableMask: 2, count: 4 } as const;

/**
 * Words of a node; its entries (type, then the word of the body) and its name follow. `otherwise` is
 * the body for types without an entry; 0: no data, with the zone's SOA.
 */
export const nodeWords = { nameBytes: 0, zone: 1, entries: 2, otherwise: 3, count: 4 } as const;

/** own: the zone and its aliases; reverse and empty: RFC 6303; forward: upstreams answer. */
export const zoneKinds = { own: 1, reverse: 2, empty: 3, localhost: 4, forward: 5 } as const;

/**
 * Words of a zone; the authority section for negative answers, one SOA record, follows. At its byte 0,
 * and at `pointer1` and `pointer2` where not 0, stand pointers to where the apex begins in the question.
 */
export const zoneWords = {
  kind: 0,
  labels: 1,
  apex: 2,
  tailBytes: 3,
  pointer1: 4,
  pointer2: 5,
  count: 6,
} as const;

/**
 * Words of a body, all that stands behind the question; its bytes follow. The records from `turnStart`
 * on, `turnCount` of `turnBytes` each, take turns in being the first; `turn` counts. `leaves` 1: the
 * last name of a chain is not the zone's.
 */
export const bodyWords = {
  rcode: 0,
  answers: 1,
  authorities: 2,
  additionals: 3,
  bytes: 4,
  turnStart: 5,
  turnCount: 6,
  turnBytes: 7,
  turn: 8,
  leaves: 9,
  count: 10,
} as const;

/** @returns views of the image for one thread */
export function viewOf(served: Served): ServedView {
  const words = new Int32Array(served.image);
  return {
    served,
    words,
    bytes: new Uint8Array(served.image),
    loaded: words[headWords.loaded] === 1,
    tableWord: words[headWords.tableWord] ?? 0,
    tableMask: words[headWords.tableMask] ?? 0,
  };
}

/** Where a hash of names begins: the root. */
export const rootHash = 0x811c9dc5 | 0;

/**
 * The hash of a name that stands at `at` in front of a name with the hash `hash`: one label more, its
 * case left out. Hashes go from the root down, so that one pass gives those of all ancestors.
 */
export function hashLabel(hash: number, bytes: Uint8Array, at: number): number {
  const size = bytes[at] ?? 0;
  let sum = Math.imul(hash ^ size, 0x01000193);
  for (let index = at + 1; index <= at + size; index += 1) {
    const byte = bytes[index] ?? 0;
    sum = Math.imul(sum ^ (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte), 0x01000193);
  }
  return sum;
}

/** The slot of the table at which a search for `hash` begins. */
export function slotOf(hash: number, mask: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}

/**
 * The node of the name at bytes `start` up to `end` of `query`, whose hash is `hash`.
 * @returns its word, or 0
 */
export function findNode(
  view: ServedView,
  hash: number,
  query: Uint8Array,
  start: number,
  end: number,
): number {
  const { words, tableWord, tableMask } = view;
  for (let slot = slotOf(hash, tableMask); ; slot = (slot + 1) & tableMask) {
    const node = words[tableWord + 2 * slot + 1] ?? 0;
    if (node === 0) return 0;
    if (words[tableWord + 2 * slot] === hash && isNameOf(view, node, query, start, end)) {
      return node;
    }
  }
}

function isNameOf(
  view: ServedView,
  node: number,
  query: Uint8Array,
  start: number,
  end: number,
): boolean {
  const { words, bytes } = view;
  const size = end - start;
  if (words[node + nodeWords.nameBytes] !== size) return false;
  const name = (node + nodeWords.count + 2 * (words[node + nodeWords.entries] ?? 0)) * 4;
  for (let index = 0; index < size; index += 1) {
    const byte = query[start + index] ?? 0;
    const low = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (low !== bytes[name + index]) return false;
  }
  return true;
}
