/**
 * What a lab consists of: its hosts, their parts, where each part listens, the group id that marks
 * its processes, and the folder that holds its data. Everything follows from a name, an index and
 * a few choices, so two tools that read the same lab.json see the same lab.
 */
import type { Address } from "../kit/address.ts";

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

export interface MemberHost {
  readonly name: string;
  readonly ordinal: number;
  /** The replication slot that its primary keeps for it. */
  readonly slot: string;
  readonly postgres: Address;
  readonly pooler: Address;
  readonly health: Address;
}

export interface AppHost {
  readonly name: string;
  /** Names of its router and of its edge pooler in the environment file. */
  readonly router: string;
  readonly edgePooler: string;
  readonly write: Address;
  readonly read: Address;
  readonly stats: Address;
  readonly edge: Address;
  readonly gate: Address;
}

export interface LabRequest {
  readonly name: string;
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

/** How many labs fit side by side, by their addresses 127.10.x.x to 127.29.x.x. */
export const maximumLabs = 20;
export const maximumAppHosts = 8;

const memberNames = ["dal-01", "chi-02"] as const;
const firstGid = 47_000;
const gidsPerLab = 100;

/** Works out the whole lab. Pure. */
export function modelLab(request: LabRequest): LabModel {
  const members = memberNames.map((name, ordinal) => memberHost(request.index, name, ordinal));
  const apps = Array.from({ length: request.appHosts }, (_, ordinal) =>
    appHost(request.index, ordinal),
  );
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

function memberHost(index: number, name: string, ordinal: number): MemberHost {
  const host = `127.${10 + index}.0.${ordinal + 1}`;
  return {
    name,
    ordinal,
    slot: slotName(name),
    postgres: { host, port: 5432 },
    pooler: { host, port: 6432 },
    health: { host, port: 8008 },
  };
}

function appHost(index: number, ordinal: number): AppHost {
  const host = `127.${10 + index}.1.${ordinal + 1}`;
  const name = `app-${String(ordinal + 1).padStart(2, "0")}`;
  return {
    name,
    router: name,
    edgePooler: `${name}-edge`,
    write: { host, port: 6433 },
    read: { host, port: 6434 },
    stats: { host, port: 8404 },
    edge: { host, port: 6432 },
    gate: { host, port: 8009 },
  };
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
