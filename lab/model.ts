/**
 * What a lab consists of: its hosts, their parts, where each part listens, the group id that marks
 * its processes, and the folder that holds its data. Everything follows from a name, an index and
 * a few choices, so two tools that read the same lab.json see the same lab.
 */
import type { Address } from "../kit/address.ts";
import { addressPlans, sites } from "./addresses.ts";
import type { AppAddresses, DriverKind, MemberAddresses, Site } from "./addresses.ts";

export type PartKind = "postgres" | "pooler" | "health" | "router" | "edge" | "gate";

/** One long-running program of the lab. */
export interface Part {
  /** `host/kind`, such as dal-01/postgres. */
  readonly name: string;
  readonly host: string;
  readonly kind: PartKind;
  /** Group id of its processes when the lab runs as root. */
  readonly gid: number;
  readonly folder: string;
  /** Where it listens; the first is its main address. */
  readonly listens: readonly Address[];
}

export interface MemberHost extends MemberAddresses {
  readonly name: string;
  readonly ordinal: number;
  readonly site: Site;
  /** The replication slot that its primary keeps for it. */
  readonly slot: string;
}

export interface AppHost extends AppAddresses {
  readonly name: string;
  readonly site: Site;
  /** Names of its router and of its edge pooler in the environment file. */
  readonly router: string;
  readonly edgePooler: string;
}

export interface LabRequest {
  readonly name: string;
  readonly driver: DriverKind;
  /** 0 to 19; decides addresses and group ids. */
  readonly index: number;
  /** The lab's own folder, absolute. */
  readonly folder: string;
  readonly appHosts: number;
  readonly pooling: "transaction" | "session";
  /** A size as Postgres reads it, such as 256MB. */
  readonly sharedBuffers: string;
  readonly archiveCommand: string | null;
}

export interface LabModel extends LabRequest {
  readonly members: readonly MemberHost[];
  readonly apps: readonly AppHost[];
  readonly parts: readonly Part[];
}

/** How many labs fit side by side, by their addresses: 127.10.x.x to 127.29.x.x, 10.213.0.x to .79.x. */
export const maximumLabs = 20;
export const maximumAppHosts = 8;

const memberNames = ["dal-01", "chi-02"] as const;
const firstGid = 47_000;
const gidsPerLab = 100;

/** Works out the whole lab. Pure. */
export function modelLab(request: LabRequest): LabModel {
  const members = memberNames.map((name, ordinal) => memberHost(request, name, ordinal));
  const apps = Array.from({ length: request.appHosts }, (_, ordinal) => appHost(request, ordinal));
  const baseGid = firstGid + request.index * gidsPerLab;
  const part = (host: string, kind: PartKind, offset: number, listens: Address[]): Part => ({
    name: `${host}/${kind}`,
    host,
    kind,
    gid: baseGid + offset,
    folder: `${request.folder}/${host}/${kind}`,
    listens,
  });
  const parts = [
    ...members.flatMap((one) => [
      part(one.name, "postgres", one.ordinal * 10 + 1, [one.postgres]),
      part(one.name, "pooler", one.ordinal * 10 + 2, [one.pooler]),
      part(one.name, "health", one.ordinal * 10 + 3, [one.health]),
    ]),
    ...apps.flatMap((one, ordinal) => [
      part(one.name, "router", 50 + ordinal * 5, [one.write, one.read, one.stats]),
      part(one.name, "edge", 51 + ordinal * 5, [one.edge]),
      part(one.name, "gate", 52 + ordinal * 5, [one.gate]),
    ]),
  ];
  return { ...request, members, apps, parts };
}

function memberHost({ index, driver }: LabRequest, name: string, ordinal: number): MemberHost {
  return {
    name,
    ordinal,
    site: siteOf(ordinal),
    slot: slotName(name),
    ...addressPlans[driver].member(index, ordinal),
  };
}

function appHost({ index, driver }: LabRequest, ordinal: number): AppHost {
  const name = `app-${String(ordinal + 1).padStart(2, "0")}`;
  return {
    name,
    site: siteOf(ordinal),
    router: name,
    edgePooler: `${name}-edge`,
    ...addressPlans[driver].app(index, ordinal),
  };
}

/** Every other host stands in the other data centre, the first one where the first member is. */
function siteOf(ordinal: number): Site {
  return sites[ordinal % sites.length] ?? sites[0];
}

/** The slot a standby of this name streams through (slot names take no dash). */
function slotName(member: string): string {
  return member.replaceAll("-", "_");
}

/** Every name a verb takes: hosts and parts, in the order of the lab. */
export function partNames(model: LabModel): string[] {
  const hosts = [...model.members, ...model.apps].map((one) => one.name);
  return [...hosts, ...model.parts.map((one) => one.name)];
}

/** The parts that a name stands for: one part, or all of a host; empty when there is none. */
export function partsNamed(model: LabModel, name: string): Part[] {
  return model.parts.filter((one) => one.name === name || one.host === name);
}

/** The part of a host that does one thing; the model has it, or this is a mistake of ours. */
export function partOf(model: LabModel, host: string, kind: PartKind): Part {
  const found = model.parts.find((one) => one.host === host && one.kind === kind);
  if (found === undefined) throw new TypeError(`the lab has no ${host}/${kind}`);
  return found;
}
