/**
 * Where in the zone a question leads: the node of its name, or the nearest one above it. Hashes are
 * taken from the root down over the query's own bytes, so that nothing is copied and nothing allocated.
 */
import { labelsMax } from "../wire/names.ts";
import type { QueryFacts } from "../wire/message.ts";
import { types } from "../wire/numbers.ts";
import { findNode, hashLabel, nodeWords, rootHash } from "../zone/served.ts";
import type { ServedView } from "../zone/served.ts";

const hashes = new Int32Array(labelsMax + 1);

/** The labels of the question that stand before the node that findClosest gave: 0 when it is the name. */
let missing = 0;

/** How many labels the name of the last findClosest has more than the node that was found. */
export function missingLabels(): number {
  return missing;
}

/** The node of the question's name, or else of its nearest ancestor; 0 when there is none. */
export function findClosest(view: ServedView, query: Uint8Array, facts: QueryFacts): number {
  const { labelCount, labelStarts } = facts;
  let hash = rootHash;
  for (let index = labelCount - 1; index >= 0; index -= 1) {
    hash = hashLabel(hash, query, labelStarts[index] ?? 0);
    hashes[index] = hash;
  }
  const end = facts.questionEnd - 4;
  for (let index = 0; index < labelCount; index += 1) {
    const node = findNode(view, hashes[index] ?? 0, query, labelStarts[index] ?? 0, end);
    if (node !== 0) {
      missing = index;
      return node;
    }
  }
  missing = labelCount;
  return 0;
}

/** The body of the answer for `type` at a node; 0: there is no data of that type. */
export function findBody(view: ServedView, node: number, type: number): number {
  const { words } = view;
  const entries = words[node + nodeWords.entries] ?? 0;
  const first = node + nodeWords.count;
  // One set stands for all of them, and nobody is flooded by asking for ANY (RFC 8482, 4.1).
  if (type === types.ANY && entries > 0) return words[first + 1] ?? 0;
  for (let index = 0; index < entries; index += 1) {
    if (words[first + 2 * index] === type) return words[first + 2 * index + 1] ?? 0;
  }
  return words[node + nodeWords.otherwise] ?? 0;
}
