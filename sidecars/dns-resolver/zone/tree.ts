/**
 * A zone while it is built: its names relative to its apex, with their records. A relative name is the
 * wire form without the end, one character a byte and in lower case; "" is the apex.
 */

/** A name in record data: in the zone and relative to it, or somewhere else and whole. */
export interface TargetName {
  readonly isInZone: boolean;
  readonly labels: string;
}

/** Record data: bytes, and a name behind them where the type has one. */
export interface RecordData {
  readonly id: number;
  /** Seconds. */
  readonly ttl: number;
  readonly bytes: Uint8Array;
  readonly target: TargetName | undefined;
}

export interface RecordSet {
  readonly type: number;
  /** Seconds: the least of all its records (RFC 2181, 5.2). */
  ttl: number;
  records: RecordData[];
}

export interface TreeNode {
  readonly labels: string;
  sets: RecordSet[];
}

const shardCount = 64;

/**
 * The names of a zone. In shards, since a map of a hundred thousand names stands still for a long
 * time whenever it grows.
 */
export class NameTree {
  /** Made as they are needed: most trees have a name or two. */
  readonly #shards: (Map<string, TreeNode> | undefined)[] = [];

  constructor() {
    this.#put("");
  }

  /** The node of a name; undefined where there is none. */
  find(labels: string): TreeNode | undefined {
    return this.#shards[shardOf(labels)]?.get(labels);
  }

  /** The node of a name, made with all nodes above it where it is new (RFC 8020: none is missing). */
  grow(labels: string): TreeNode {
    const node = this.find(labels) ?? this.#put(labels);
    for (let above = parentOf(labels); this.find(above) === undefined; above = parentOf(above)) {
      this.#put(above);
    }
    return node;
  }

  *nodes(): Generator<TreeNode> {
    for (const shard of this.#shards) {
      if (shard !== undefined) yield* shard.values();
    }
  }

  #put(labels: string): TreeNode {
    const node: TreeNode = { labels, sets: [] };
    const shard = (this.#shards[shardOf(labels)] ??= new Map<string, TreeNode>());
    shard.set(labels, node);
    return node;
  }
}

function shardOf(labels: string): number {
  let sum = labels.length;
  for (let at = 0; at < labels.length && at < 24; at += 1) {
    sum = Math.imul(sum, 31) + labels.charCodeAt(at);
  }
  return (sum >>> 4) & (shardCount - 1);
}

/** The name above; that of the apex is the apex. */
export function parentOf(labels: string): string {
  return labels.slice((labels.codePointAt(0) ?? -1) + 1);
}

/** The first label of a name, without its length. */
export function firstLabel(labels: string): string {
  return labels.slice(1, 1 + (labels.codePointAt(0) ?? 0));
}

/** Labels as dotted text, for people. */
export function dotted(labels: string): string {
  const texts: string[] = [];
  for (let rest = labels; rest !== ""; rest = parentOf(rest)) texts.push(firstLabel(rest));
  return texts.join(".");
}

/** The set of a type at a node. */
export function setOf(node: TreeNode | undefined, type: number): RecordSet | undefined {
  return node?.sets.find((one) => one.type === type);
}
