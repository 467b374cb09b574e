/**
 * Builds the image of a zone from its records: the zone and its aliases side by side, its addresses in
 * reverse, and the names that are answered here whatever the zone. The steps can be walked at once
 * (buildZone) or in slices with answers between them (buildZoneAside).
 */
import { nextTurn } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import type { ZoneContent, ZoneSettings } from "../parts.ts";
import { NameError } from "../wire/names.ts";
import { types } from "../wire/numbers.ts";
import { ipv4Bytes, ipv6Bytes } from "./addresses.ts";
import { soaTimes } from "./body.ts";
import { labelsOf } from "./check.ts";
import type { Origins } from "./check.ts";
import { growTree } from "./content.ts";
import { writeImage } from "./image.ts";
import { zoneKinds } from "./served.ts";
import type { Served } from "./served.ts";
import { addPointers, specialZones } from "./special.ts";
import { NameTree, setOf } from "./tree.ts";

/** skipped: one line for the operator for each record that is not served, and why; bounded. */
export interface BuiltZone {
  readonly served: Served;
  readonly skipped: readonly string[];
}

const sliceMs = 3;
/** More than most take, so that the buffer is allocated once; what is not written costs nothing. */
const bytesPerRecord = 400;

/** Builds here and now; a record that cannot be served is skipped and told. @throws NameError */
export function buildZone(settings: ZoneSettings, content: ZoneContent): BuiltZone {
  const steps = buildSteps(settings, content);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** As buildZone, in slices of a few milliseconds, so that answers go on meanwhile. @throws NameError */
export async function buildZoneAside(
  settings: ZoneSettings,
  content: ZoneContent,
  clock: Clock,
): Promise<BuiltZone> {
  const steps = buildSteps(settings, content);
  let began = clock.monotonic();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (clock.monotonic() - began < sliceMs) continue;
    await nextTurn();
    began = clock.monotonic();
  }
}

/** Knows which names are its own, and answers SERVFAIL for them. @throws NameError */
export function unloadedZone(settings: ZoneSettings): Served {
  const origins = originsOf(settings);
  const zones = [...ownZones(origins, new NameTree()), ...specialZones(settings, origins).values()];
  const steps = writeImage(zones, { isLoaded: false, generation: 0, expected: 0 });
  for (;;) {
    const step = steps.next();
    if (step.done !== true) continue;
    return { image: step.value, epoch: "", generation: 0, recordCount: 0 };
  }
}

function* buildSteps(settings: ZoneSettings, content: ZoneContent): Generator<void, BuiltZone> {
  const { records, epoch, generation } = content;
  const origins = originsOf(settings);
  const skipped = { lines: [], count: 0 };
  const tree = yield* growTree(records, origins, skipped);
  const special = specialZones(settings, origins);
  yield* addPointers(special, tree, origins[0]);
  addServer(tree, settings.addresses ?? []);
  const zones = [...ownZones(origins, tree), ...special.values()];
  const expected = records.length * origins.length * bytesPerRecord;
  const image = yield* writeImage(zones, { isLoaded: true, generation, expected });
  const recordCount = records.length - skipped.count;
  return { served: { image, epoch, generation, recordCount }, skipped: linesOf(skipped) };
}

function linesOf(skipped: { readonly lines: readonly string[]; readonly count: number }): string[] {
  const { lines, count } = skipped;
  return count > lines.length ? [...lines, `and ${count - lines.length} records more`] : [...lines];
}

function originsOf(settings: ZoneSettings): Origins {
  const [zone = "", ...aliases] = [settings.zone, ...settings.aliases].map((name) => {
    const labels = labelsOf(name);
    if (labels === undefined) throw new NameError(`${name.slice(0, 300)} is no name for a zone`);
    return labels;
  });
  return [zone, ...new Set(aliases.filter((alias) => alias !== zone))];
}

function ownZones(origins: Origins, tree: NameTree): { apex: string; kind: 1; tree: NameTree }[] {
  return origins.map((apex) => ({ apex, kind: zoneKinds.own, tree }));
}

/** The zone's name server, ns.<zone>: at the addresses of this resolver, unless it has others. */
function addServer(tree: NameTree, addresses: readonly string[]): void {
  const ns = "\x02ns";
  const target = { isInZone: true, labels: ns };
  const record = { id: 1, ttl: soaTimes.ttl, bytes: new Uint8Array(0), target };
  tree.find("")?.sets.push({ type: types.NS, ttl: soaTimes.ttl, records: [record] });
  const node = tree.grow(ns);
  if (node.sets.length > 0) return;
  for (const [id, address] of addresses.entries()) {
    const bytes = ipv4Bytes(address) ?? ipv6Bytes(address);
    if (bytes === undefined) throw new NameError(`${address.slice(0, 100)} is no address`);
    const type = bytes.length === 4 ? types.A : types.AAAA;
    const set = setOf(node, type);
    const one = { id, ttl: soaTimes.ttl, bytes, target: undefined };
    if (set === undefined) node.sets.push({ type, ttl: soaTimes.ttl, records: [one] });
    else set.records.push(one);
  }
}
