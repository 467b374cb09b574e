/**
 * The zone's content as a tree: records sorted into sets, each set in the order in which it is served.
 * What contradicts another record is left out and told. A generator, so that a large zone can be built
 * in slices: it yields after every few hundred records.
 */
import type { ZoneRecord } from "../parts.ts";
import { types } from "../wire/numbers.ts";
import { checkRecord } from "./check.ts";
import type { CheckedRecord, Origins } from "./check.ts";
import { growRoles } from "./services.ts";
import { firstLabel, NameTree, parentOf, setOf } from "./tree.ts";
import type { RecordData, RecordSet, TreeNode } from "./tree.ts";

/** More records of one type at one name are not served. */
export const recordsPerSetMax = 256;
/** How many lines about skipped records are kept. */
const skippedMax = 100;
const recordsPerSlice = 256;

/** Lines for the operator, bounded. */
export interface Skipped {
  readonly lines: string[];
  count: number;
}

/** Puts the records into a tree. @returns it; what is left out is added to `skipped` */
export function* growTree(
  records: readonly ZoneRecord[],
  origins: Origins,
  skipped: Skipped,
): Generator<void, NameTree> {
  const tree = new NameTree();
  let count = 0;
  for (const record of records) {
    const checked = checkRecord(record, origins);
    const why = typeof checked === "string" ? checked : putRecord(tree, checked);
    if (why !== undefined) skip(skipped, record, why);
    if ((count += 1) % recordsPerSlice === 0) yield;
  }
  const gone = new Map<number, string>();
  for (const node of tree.nodes()) {
    settleAlias(node, gone);
    for (const set of node.sets) arrange(tree, node, set);
    if ((count += 1) % recordsPerSlice === 0) yield;
  }
  for (const record of gone.size === 0 ? [] : records) {
    const why = gone.get(record.id);
    if (why !== undefined) skip(skipped, record, why);
  }
  return tree;
}

function skip(skipped: Skipped, record: ZoneRecord, why: string): void {
  skipped.count += 1;
  if (skipped.lines.length >= skippedMax) return;
  const name = record.fqdn.replaceAll(/[^\x21-\x7e]/g, "?").slice(0, 100);
  skipped.lines.push(`record ${record.id}, ${name} ${record.record_type}: ${why}`);
}

function putRecord(tree: NameTree, record: CheckedRecord): string | undefined {
  const { labels, type, data } = record;
  if (type === types.CNAME && labels === "") return "the zone itself cannot be another name";
  const node = tree.grow(labels);
  growRoles(tree, labels);
  let set = setOf(node, type);
  if (set === undefined) node.sets.push((set = { type, ttl: data.ttl, records: [] }));
  if (set.records.some((one) => isSame(one, data))) return undefined;
  if (set.records.length >= recordsPerSetMax) {
    return `there are ${recordsPerSetMax} of its type at its name already`;
  }
  set.records.push(data);
  return undefined;
}

function isSame(left: RecordData, right: RecordData): boolean {
  if (left.target?.labels !== right.target?.labels) return false;
  if (left.target?.isInZone !== right.target?.isInZone) return false;
  return (
    left.bytes.length === right.bytes.length && left.bytes.every((b, i) => b === right.bytes[i])
  );
}

/** A CNAME stands alone (RFC 1034, 3.6.2): beside other data it goes; of several the first one stays. */
function settleAlias(node: TreeNode, gone: Map<number, string>): void {
  const alias = setOf(node, types.CNAME);
  const isBeside = node.sets.length > 1;
  if (alias === undefined || (!isBeside && alias.records.length === 1)) return;
  const [first, ...others] = alias.records.toSorted((left, right) => left.id - right.id);
  if (isBeside) node.sets = node.sets.filter((set) => set !== alias);
  alias.records = first === undefined ? [] : [first];
  if (isBeside && first !== undefined) gone.set(first.id, "it stands beside other records");
  for (const { id } of others) gone.set(id, "there is a CNAME at its name already");
}

/** In the order of ids, but what `primary.<name>` has comes first: many clients try no second one. */
function arrange(tree: NameTree, node: TreeNode, set: RecordSet): void {
  if (set.records.length < 2) {
    set.ttl = set.records[0]?.ttl ?? 0;
    return;
  }
  set.ttl = Math.min(...set.records.map((one) => one.ttl));
  const first = setOf(tree.find(primaryOf(node.labels)), set.type)?.records ?? [];
  const rank = (one: RecordData): number => (first.some((other) => isSame(one, other)) ? 0 : 1);
  set.records.sort((left, right) => rank(left) - rank(right) || left.id - right.id);
  if (set.type !== types.SRV || first.length === 0) return;
  // SRV has words of its own for that (RFC 2782): a higher number is tried later.
  set.records = set.records.map((one) => {
    const bytes = Uint8Array.from(one.bytes);
    bytes[1] = rank(one) * 10;
    return { ...one, bytes };
  });
}

/** Where the primary of a name is published: `primary` before it, behind its service labels. */
function primaryOf(labels: string): string {
  let rest = labels;
  while (firstLabel(rest).startsWith("_")) rest = parentOf(rest);
  return `${labels.slice(0, labels.length - rest.length)}\x07primary${rest}`;
}
