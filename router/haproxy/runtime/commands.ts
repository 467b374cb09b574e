/**
 * The Runtime API commands that Switchyard sends, as a table: each builds one line from checked
 * words, and says what level it needs, whether it may be sent twice, and which readback proves it.
 * HAProxy answers many wrong values with success (port 99999 becomes 34463), so values are checked
 * here. HAProxy Management Guide, 9.3 "Unix Socket commands".
 */
import { isIpAddress } from "../../../config/values.ts";
import { formatAddress } from "../../../kit/address.ts";
import { formatServerName } from "./servers.ts";
import type { ServerName, ServerView } from "./servers.ts";

/** How much a socket lets its clients do, the least first. */
export const levels = ["user", "operator", "admin"] as const;
export type Level = (typeof levels)[number];
export type AdminState = "ready" | "drain" | "maint";
export type HealthState = "up" | "down";

export interface Command {
  readonly line: string;
  /** The level that the socket needs for it. */
  readonly level: Level;
  /** True when sending it a second time changes nothing more. */
  readonly idempotent: boolean;
  /** The oldest version that has it and survives it, where that is newer than 2.6. */
  readonly since?: string;
  /** True when the answer is data and ends with an empty line. */
  readonly answers: boolean;
  /** The server that the readback looks at, and what it must show. */
  readonly proof?: {
    readonly of: ServerName;
    readonly about: "state" | "health" | "address" | "weight" | "maxconn" | "checks" | "absence";
    /** Of "absence" it is asked only where the server is still there. */
    readonly holds: (seen: ServerView) => boolean;
  };
}

/** How HAProxy checks a server that is added at run time; times in milliseconds. */
export interface CheckWords {
  readonly inter: number;
  readonly fastinter: number;
  readonly downinter: number;
  readonly rise: number;
  readonly fall: number;
}

/** A server to add at run time. Nothing of `default-server` holds for it, so all is said. */
export interface AddedServer {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly maxConnections: number;
  /** Without it the server is not checked. */
  readonly check?: CheckWords | undefined;
}

/** A value that must not be put on a Runtime API line. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code = "ERR_HAPROXY_COMMAND";
}

const namePattern = /^[A-Za-z0-9_.:-]{1,128}$/;

/**
 * Reads `backend/server`.
 * @throws CommandError when it is not two names of letters, digits and _ . : -
 */
export function parseServerName(text: string): ServerName {
  const [backend = "", server = "", ...more] = text.split("/");
  if (more.length > 0 || !namePattern.test(backend) || !namePattern.test(server)) {
    throw new CommandError(
      `expected BACKEND/SERVER, names of letters, digits and _ . : -; got ${JSON.stringify(text)}`,
    );
  }
  return { backend, server };
}

function word(name: ServerName): string {
  return formatServerName(parseServerName(formatServerName(name)));
}

function integer(what: string, value: number, limits: readonly [number, number]): number {
  if (Number.isInteger(value) && value >= limits[0] && value <= limits[1]) return value;
  throw new CommandError(`${what}: expected ${limits[0]} to ${limits[1]}; got ${value}`);
}

function pointerWord(pointer: string): string {
  if (/^0x[0-9a-f]{1,16}$/.test(pointer)) return pointer;
  throw new CommandError(`expected a session pointer; got ${JSON.stringify(pointer)}`);
}

function checkWords(check: CheckWords | undefined): string {
  if (check === undefined) return "";
  const ms = (key: "inter" | "fastinter" | "downinter"): string =>
    `${key} ${integer(key, check[key], [1, 86_400_000])}ms`;
  const count = (key: "rise" | "fall"): string => `${key} ${integer(key, check[key], [1, 1000])}`;
  return ` check ${ms("inter")} ${ms("fastinter")} ${ms("downinter")} ${count("rise")} ${count("fall")}`;
}

function ipWord(address: string): string {
  // HAProxy would take a name for an address, and resolve it once.
  if (isIpAddress(address)) return address;
  throw new CommandError(`expected an IP address; got ${JSON.stringify(address)}`);
}

const show = (line: string, level: Level): Command => ({
  line,
  level,
  idempotent: true,
  answers: true,
});

const change = (line: string, proof?: Command["proof"]): Command => ({
  line,
  level: "admin",
  idempotent: true,
  answers: false,
  ...(proof === undefined ? {} : { proof }),
});

const stateProof: Readonly<Record<AdminState, (seen: ServerView) => boolean>> = {
  ready: (seen) => seen.admin.length === 0,
  drain: (seen) => seen.admin.includes("drain"),
  maint: (seen) => seen.admin.includes("maint"),
};

export const commands = {
  /** Answers with one word, as text and no data. */
  showLevel: (): Command => ({ ...show("show cli level", "user"), answers: false }),
  showInfo: () => show("show info", "user"),
  showServersState: () => show("show servers state", "user"),
  showStat: () => show("show stat", "user"),
  showSessions: () => show("show sess", "operator"),
  setServerState: (of: ServerName, state: AdminState) =>
    change(`set server ${word(of)} state ${state}`, {
      of,
      about: "state",
      holds: stateProof[state],
    }),
  /** Overrules the checks until they say otherwise. */
  setServerHealth: (of: ServerName, health: HealthState) =>
    change(`set server ${word(of)} health ${health}`, {
      of,
      about: "health",
      holds: (seen) => (seen.state === "up") === (health === "up"),
    }),
  setServerAddress: (of: ServerName, address: string, port: number) =>
    change(
      `set server ${word(of)} addr ${ipWord(address)} port ${integer("port", port, [1, 65_535])}`,
      { of, about: "address", holds: (seen) => seen.host === address && seen.port === port },
    ),
  setServerWeight: (of: ServerName, weight: number) =>
    change(`set server ${word(of)} weight ${integer("weight", weight, [0, 256])}`, {
      of,
      about: "weight",
      holds: (seen) => seen.weight === weight,
    }),
  /** 0 would mean "no limit", which keeps 3.0 from ever emptying the backend's queue. */
  setServerMaxConnections: (of: ServerName, count: number) =>
    change(`set maxconn server ${word(of)} ${integer("maxconn", count, [1, 1_000_000])}`, {
      of,
      about: "maxconn",
      holds: (seen) => seen.maxConnections === count,
    }),
  /** Before 3.0.6, raising it while connections wait deadlocks the process (haproxy #2726). */
  setFrontendMaxConnections: (frontend: string, count: number): Command => ({
    ...change(
      `set maxconn frontend ${word({ backend: frontend, server: "x" }).slice(0, -2)} ${integer("maxconn", count, [0, 1_000_000])}`,
    ),
    since: "3.0.6",
  }),
  /**
   * Adds a server. It begins in maint, with its checks switched off, and takes nobody until it is
   * told to (docs/router.md, Backends).
   */
  addServer: (
    of: ServerName,
    { host, port, weight, maxConnections, check }: AddedServer,
  ): Command => ({
    ...change(
      `add server ${word(of)} ${formatAddress({ host: ipWord(host), port: integer("port", port, [1, 65_535]) })}` +
        ` weight ${integer("weight", weight, [0, 256])}` +
        ` maxconn ${integer("maxconn", maxConnections, [1, 1_000_000])}${checkWords(check)}`,
      { of, about: "address", holds: (seen) => seen.port === port },
    ),
    idempotent: false,
  }),
  /** Switches the checks of an added server on. */
  enableServerHealth: (of: ServerName) =>
    change(`enable health ${word(of)}`, { of, about: "checks", holds: (seen) => seen.checked }),
  /** Only of one that was added, is in maint and has no connection left. */
  deleteServer: (of: ServerName): Command => ({
    ...change(`del server ${word(of)}`, { of, about: "absence", holds: () => false }),
    idempotent: false,
  }),
  shutdownServerSessions: (of: ServerName) => change(`shutdown sessions server ${word(of)}`),
  /** A pointer can be given to a new session once its own has ended, so never sent twice. */
  shutdownSession: (pointer: string): Command => ({
    ...change(`shutdown session ${pointerWord(pointer)}`),
    idempotent: false,
  }),
};
