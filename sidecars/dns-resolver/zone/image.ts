/**
 * Writes trees into the flat image of zone/served.ts: for each zone its negative answer, for each name
 * a node with the bodies of its answers, and the table that leads there. Generators, so that a large
 * zone can be written in slices.
 */
import { rcodes, types } from "../wire/numbers.ts";
import { BodyWriter, foreignSoa, ownSoa } from "./body.ts";
import type { SoaNames } from "./body.ts";
import { chainFrom } from "./chain.ts";
import type { Chain } from "./chain.ts";
import {
  bodyWords,
  hashLabel,
  headWords,
  nodeWords,
  rootHash,
  slotOf,
  zoneKinds,
  zoneWords,
} from "./served.ts";
import { isService } from "./services.ts";
import type { ZonePlan } from "./special.ts";
import { firstLabel, parentOf, setOf } from "./tree.ts";
import type { RecordSet, TreeNode } from "./tree.ts";
import { ImageWriter } from "./writer.ts";

/** What is written so far: the image, and for each node its hash and word. */
interface Press {
  readonly image: ImageWriter;
  readonly serial: number;
  readonly hashes: number[];
  readonly nodes: number[];
}

/** One zone that is being written. */
interface Sheet {
  readonly press: Press;
  readonly plan: ZonePlan;
  readonly soa: SoaNames;
  readonly zoneWord: number;
}

const nodesPerSlice = 64;
/** No body is begun while another one is written. */
const body = new BodyWriter();
const pointerHead = 0xc0;

/** Writes the zones. @returns the image; `isLoaded` false: names of own zones get SERVFAIL */
export function* writeImage(
  zones: readonly ZonePlan[],
  options: { readonly isLoaded: boolean; readonly generation: number; readonly expected: number },
): Generator<void, SharedArrayBuffer> {
  const image = new ImageWriter(headWords.count, options.expected);
  const press = { image, serial: options.generation % 2 ** 32, hashes: [], nodes: [] };
  let count = 0;
  for (const plan of zones) {
    const sheet = beginZone(press, plan);
    for (const node of plan.tree.nodes()) {
      writeNode(sheet, node);
      if ((count += 1) % nodesPerSlice === 0) yield;
    }
  }
  yield* writeTable(press);
  image.words[headWords.loaded] = options.isLoaded ? 1 : 0;
  yield;
  return image.share();
}

function beginZone(press: Press, plan: ZonePlan): Sheet {
  const { image, serial } = press;
  const soa = plan.kind === zoneKinds.own ? ownSoa : foreignSoa;
  body.begin("", plan.apex);
  body.putSoa(soa, serial, bodyWords.authorities);
  const written = body.finish(image);
  const bytes = image.words[written + bodyWords.bytes] ?? 0;
  const from = (written + bodyWords.count) * 4;
  const tail = image.bytes.slice(from, from + bytes);
  // Owner, server and mailbox end at the apex; where that is depends on the question.
  const pointers = pointersIn(tail, soa);
  const zoneWord = image.take(zoneWords.count);
  image.putWords(zoneWord, [
    plan.kind,
    labelCount(plan.apex),
    0,
    bytes,
    pointers[0] ?? 0,
    pointers[1] ?? 0,
  ]);
  image.putBytes(tail);
  return { press, plan, soa, zoneWord };
}

/** Where in an SOA record, behind its owner, names end with a pointer to the apex. */
function pointersIn(tail: Uint8Array, soa: SoaNames): number[] {
  const server = 12 + soa.server.length;
  const mailbox = server + 2 + soa.mailbox.labels.length;
  const found = soa.mailbox.isInZone ? [server, mailbox] : [server];
  return found.filter((at) => (tail[at] ?? 0) >= pointerHead);
}

function labelCount(labels: string): number {
  let count = 0;
  for (let rest = labels; rest !== ""; rest = parentOf(rest)) count += 1;
  return count;
}

function writeNode(sheet: Sheet, node: TreeNode): void {
  const { press, plan, zoneWord } = sheet;
  const { image } = press;
  const chain = chainFrom(plan.tree, node);
  const entries = chain === undefined ? setEntries(sheet, node) : chainEntries(sheet, node, chain);
  const otherwise = chain === undefined ? 0 : writeChain(sheet, node, chain, undefined);
  const name = node.labels + plan.apex;
  const word = image.take(nodeWords.count + entries.length);
  image.putWords(word, [name.length + 1, zoneWord, entries.length / 2, otherwise, ...entries]);
  const nameWord = image.putName(name);
  if (node.labels === "") image.words[zoneWord + zoneWords.apex] = word;
  press.hashes.push(hashOfName(image.bytes, nameWord * 4));
  press.nodes.push(word);
}

function hashOfName(bytes: Uint8Array, start: number): number {
  const starts: number[] = [];
  for (let at = start; bytes[at] !== 0; at += (bytes[at] ?? 0) + 1) starts.push(at);
  return starts.reduceRight((hash, at) => hashLabel(hash, bytes, at), rootHash);
}

/** Whether a set takes turns: of several standbys none is asked more than the others. */
function takesTurns(node: TreeNode, set: RecordSet): boolean {
  const isAddress = set.type === types.A || set.type === types.AAAA;
  return isAddress && firstLabel(node.labels) === "replica";
}

function setEntries(sheet: Sheet, node: TreeNode): number[] {
  const { plan, press } = sheet;
  const entries = node.sets.flatMap((set) => {
    body.begin(node.labels, plan.apex);
    body.putSet(node.labels, set, bodyWords.answers, takesTurns(node, set));
    if (set.type === types.SRV || set.type === types.NS) putTargets(sheet, set);
    return [set.type, body.finish(press.image)];
  });
  if (!hasSoa(plan, node)) return entries;
  body.begin(node.labels, plan.apex);
  body.putSoa(sheet.soa, press.serial, bodyWords.answers, node.labels);
  return [...entries, types.SOA, body.finish(press.image)];
}

const soaKinds: readonly number[] = [zoneKinds.own, zoneKinds.reverse, zoneKinds.empty];

/**
 * The apex has one, and so has each service: PgBouncer's dns_zone_check_period takes what follows the
 * first dot of a host for its zone, and looks a host up again when that one's serial has changed.
 */
function hasSoa({ kind, tree }: ZonePlan, { labels }: TreeNode): boolean {
  if (labels === "") return soaKinds.includes(kind);
  return kind === zoneKinds.own && isService(tree, labels);
}

/** The addresses of the names that a set leads to (RFC 2782; RFC 1034, 3.3). */
function putTargets(sheet: Sheet, set: RecordSet): void {
  const { tree } = sheet.plan;
  const names = set.records.flatMap(({ target }) => (target?.isInZone ? [target.labels] : []));
  for (const name of new Set(names)) {
    for (const type of [types.A, types.AAAA]) {
      const found = setOf(tree.find(name), type);
      if (found !== undefined) body.putSet(name, found, bodyWords.additionals);
    }
  }
}

function chainEntries(sheet: Sheet, node: TreeNode, chain: Chain): number[] {
  const own = setOf(node, types.CNAME);
  body.begin(node.labels, sheet.plan.apex);
  if (own !== undefined) body.putSet(node.labels, own, bodyWords.answers);
  const first = [types.CNAME, body.finish(sheet.press.image)];
  if (chain.end !== "node") return first;
  const others = chain.node.sets.flatMap((set) => [set.type, writeChain(sheet, node, chain, set)]);
  return [...first, ...others];
}

/** The links of a chain, then `set` where they end; without one, why there is nothing. */
function writeChain(
  sheet: Sheet,
  node: TreeNode,
  chain: Chain,
  set: RecordSet | undefined,
): number {
  body.begin(node.labels, sheet.plan.apex);
  if (chain.end === "endless") {
    body.setRcode(rcodes.SERVFAIL);
    return body.finish(sheet.press.image);
  }
  for (const link of chain.links) {
    const alias = setOf(link, types.CNAME);
    if (alias !== undefined) body.putSet(link.labels, alias, bodyWords.answers);
  }
  if (chain.end === "outside") body.setLeaves();
  else if (chain.end === "node" && set !== undefined) {
    body.putSet(chain.node.labels, set, bodyWords.answers, takesTurns(chain.node, set));
    if (set.type === types.SRV) putTargets(sheet, set);
  } else {
    if (chain.end === "missing") body.setRcode(rcodes.NXDOMAIN);
    body.putSoa(sheet.soa, sheet.press.serial, bodyWords.authorities);
  }
  return body.finish(sheet.press.image);
}

function* writeTable(press: Press): Generator<void> {
  const { image, hashes, nodes } = press;
  const size = 2 ** Math.ceil(Math.log2(nodes.length * 2 + 1));
  const mask = size - 1;
  const table = image.take(size * 2);
  for (const [index, node] of nodes.entries()) {
    const hash = hashes[index] ?? 0;
    let slot = slotOf(hash, mask);
    while (image.words[table + 2 * slot + 1] !== 0) slot = (slot + 1) & mask;
    image.words[table + 2 * slot] = hash;
    image.words[table + 2 * slot + 1] = node;
    if (index % 4096 === 4095) yield;
  }
  image.words[headWords.tableWord] = table;
  image.words[headWords.tableMask] = mask;
}
