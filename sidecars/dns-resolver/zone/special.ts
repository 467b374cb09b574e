/**
 * Names that are answered here though they are not the zone's: localhost, names that never stand in
 * the public tree, and private addresses in reverse (RFC 6761, 6762, 6303, 7686, 8375). Nothing of them
 * is asked of an upstream, unless that zone has upstreams of its own. The zone's own addresses have
 * their names there.
 */
import type { ZoneSettings } from "../parts.ts";
import { types } from "../wire/numbers.ts";
import { reverseLabels } from "./addresses.ts";
import { labelsOf, relativeTo } from "./check.ts";
import type { Origins } from "./check.ts";
import { zoneKinds } from "./served.ts";
import { firstLabel, NameTree, parentOf, setOf } from "./tree.ts";
import type { RecordData, RecordSet, TreeNode } from "./tree.ts";

/** A zone to be written: its own name, what it is, and its names. */
export interface ZonePlan {
  readonly apex: string;
  readonly kind: (typeof zoneKinds)[keyof typeof zoneKinds];
  readonly tree: NameTree;
}

const emptyZones = ["local", "invalid", "test", "onion", "home.arpa"];

const reverseZones = [
  ...["10", "127", "254.169", "168.192"],
  ...Array.from({ length: 16 }, (_, index) => `${16 + index}.172`),
].map((zone) => `${zone}.in-addr.arpa`);

const reverseZones6 = ["d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f"].map((zone) => `${zone}.ip6.arpa`);

const localhost = "\x09localhost";
const localTtl = 10_800;
/** More names of one address are not told. */
const pointersMax = 8;
const noBytes = new Uint8Array(0);
const loopback4 = Uint8Array.of(127, 0, 0, 1);
const loopback6 = Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? 1 : 0));

const specialApexes = [...emptyZones, ...reverseZones, ...reverseZones6, "localhost"];

/** True when names of `zone`, a dotted name, are answered here unless it has upstreams of its own. */
export function isAnsweredHere(zone: string): boolean {
  const labels = labelsOf(zone) ?? "";
  return specialApexes.some((apex) => relativeTo(labels, labelsOf(apex) ?? "") !== undefined);
}

/** The zones beside the own ones. A zone that stands in `origins` is not among them. */
export function specialZones(settings: ZoneSettings, origins: Origins): Map<string, ZonePlan> {
  const zones = new Map<string, ZonePlan>();
  const add = (text: string, kind: ZonePlan["kind"]): void => {
    const apex = labelsOf(text) ?? "";
    if (!origins.includes(apex)) zones.set(apex, { apex, kind, tree: new NameTree() });
  };
  for (const zone of emptyZones) add(zone, zoneKinds.empty);
  for (const zone of [...reverseZones, ...reverseZones6]) add(zone, zoneKinds.reverse);
  add("localhost", zoneKinds.localhost);
  for (const zone of settings.forwardZones ?? []) {
    const apex = labelsOf(zone);
    const isOwn = origins.some((origin) => relativeTo(apex ?? "", origin) !== undefined);
    if (apex !== undefined && !isOwn) add(zone, zoneKinds.forward);
  }
  const home = zones.get(localhost)?.tree.grow("");
  home?.sets.push(
    { type: types.A, ttl: localTtl, records: [localRecord(loopback4)] },
    { type: types.AAAA, ttl: localTtl, records: [localRecord(loopback6)] },
  );
  const name = { labels: localhost, ttl: localTtl, order: 0 };
  for (const address of [loopback4, loopback6]) addPointer(zones, address, name);
  addPaths(zones, origins);
  return zones;
}

function localRecord(bytes: Uint8Array): RecordData {
  return { id: 1, ttl: localTtl, bytes, target: undefined };
}

/** A zone inside an empty one keeps the names between them from being denied. */
function addPaths(zones: Map<string, ZonePlan>, origins: Origins): void {
  const inner = [...zones.keys(), ...origins];
  for (const { apex, kind, tree } of zones.values()) {
    if (kind === zoneKinds.forward) continue;
    for (const origin of inner) {
      const relative = relativeTo(origin, apex) ?? "";
      if (parentOf(relative) !== "") tree.grow(parentOf(relative));
    }
  }
}

/**
 * Gives each address of the zone its names in reverse (RFC 1035, 3.5): the name of one member before
 * those of roles. Addresses that are not private become zones of their own, of one name.
 */
export function* addPointers(
  zones: Map<string, ZonePlan>,
  tree: NameTree,
  origin: string,
): Generator<void> {
  let count = 0;
  for (const rank of [0, 1]) {
    for (const node of tree.nodes()) {
      if (memberRank(node) === rank) addPointersOf(zones, node, origin, rank);
      if ((count += 1) % 256 === 0) yield;
    }
  }
}

function addPointersOf(
  zones: Map<string, ZonePlan>,
  node: TreeNode,
  origin: string,
  rank: number,
): void {
  for (const type of [types.A, types.AAAA]) {
    const set = setOf(node, type);
    for (const { bytes, id } of set?.records ?? []) {
      const order = rank * Number.MAX_SAFE_INTEGER + id;
      addPointer(zones, bytes, { labels: node.labels + origin, ttl: set?.ttl ?? 0, order });
    }
  }
}

/** A name as an address has it in reverse; `order` is its place among others. */
interface PointedName {
  readonly labels: string;
  readonly ttl: number;
  readonly order: number;
}

/** 0 for the name of one member, `<name>-<ordinal>.<name>`. */
function memberRank(node: TreeNode): number {
  const first = firstLabel(node.labels);
  const service = firstLabel(parentOf(node.labels));
  const isMember = service !== "" && first.startsWith(`${service}-`);
  return isMember && /^\d+$/.test(first.slice(service.length + 1)) ? 0 : 1;
}

function addPointer(zones: Map<string, ZonePlan>, address: Uint8Array, name: PointedName): void {
  const set = pointerSet(zones, reverseLabels(address), name.ttl);
  if (set.records.length >= pointersMax) return;
  set.ttl = Math.min(set.ttl, name.ttl);
  const target = { isInZone: false, labels: name.labels };
  set.records.push({ id: name.order, ttl: name.ttl, bytes: noBytes, target });
  if (set.records.length > 1) set.records.sort((left, right) => left.id - right.id);
}

function pointerSet(zones: Map<string, ZonePlan>, labels: string, ttl: number): RecordSet {
  const node = reverseNode(zones, labels);
  const found = setOf(node, types.PTR);
  if (found !== undefined) return found;
  const set: RecordSet = { type: types.PTR, ttl, records: [] };
  node.sets.push(set);
  return set;
}

function reverseNode(zones: Map<string, ZonePlan>, labels: string): TreeNode {
  for (let apex = labels; apex !== ""; apex = parentOf(apex)) {
    const zone = zones.get(apex);
    if (zone === undefined) continue;
    if (zone.kind === zoneKinds.forward) break;
    return zone.tree.grow(labels.slice(0, labels.length - apex.length));
  }
  const tree = new NameTree();
  zones.set(labels, { apex: labels, kind: zoneKinds.reverse, tree });
  return tree.grow("");
}
