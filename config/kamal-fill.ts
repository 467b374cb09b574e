/**
 * What an accessory says of a member, a router or an edge pooler: a table with one row for each
 * kind of part. Each row adds keys that are not there yet. Pure.
 */
import { formatAddress } from "../kit/address.ts";
import { isTree } from "./kamal-output.ts";
import type { KamalAccessory, PublishedPort, Tree } from "./kamal-output.ts";
import { containerPorts, routerListen, routerPaths } from "./kamal-words.ts";
import type { PartKind } from "./kamal-words.ts";

/** One entry of the environment, and the accessory that is a part of it. */
export interface Placed {
  readonly entry: Record<string, unknown>;
  readonly accessory: KamalAccessory;
  /** One of the environment's hosts. */
  readonly host: string;
  /** Such as dal-01/pooler. */
  readonly part: string;
}

/** Adds to the entry what the accessory says of it. */
export function fillPart(tree: Tree, kind: PartKind, placed: Placed): void {
  add(placed.entry, "host", placed.host);
  rows[kind](placed, tree);
}

const rows: Readonly<Record<PartKind, (placed: Placed, tree: Tree) => void>> = {
  postgres: ({ entry, accessory }) => {
    add(entry, "postgres", addressOf(accessory, "postgres"));
    const data = accessory.variables["PGDATA"];
    if (data !== undefined) add(entry, "control", {});
    const control = below(entry, "control");
    // Whoever says how its host is reached by a shell does not mean the engine.
    if (control === undefined || control["shell"] !== undefined || control["start"] !== undefined) {
      return;
    }
    add(control, "container", accessory.container);
    add(control, "data", data);
    addPoolerContainer(entry);
  },
  pooler: ({ entry, accessory }) => {
    add(entry, "pooler", {});
    const pooler = below(entry, "pooler");
    if (pooler !== undefined) add(pooler, "address", addressOf(accessory, "pooler"));
    addLocal(entry, "pooler", inContainer(accessory, "pooler"));
    addPoolerContainer(entry);
  },
  health: ({ entry, accessory }) => {
    const address = addressOf(accessory, "health");
    add(entry, "health", address === undefined ? undefined : `http://${address}`);
    addLocal(entry, "health", `http://${inContainer(accessory, "health")}`);
  },
  router: ({ entry, accessory }, tree) => {
    const { container } = accessory;
    const all = isTree(tree["haproxy"]) ? tree["haproxy"]["adminSocket"] : undefined;
    const bound = [entry["adminSocket"], all, routerPaths.admin].find(
      (one) => typeof one === "string",
    );
    add(entry, "runtime", `docker://${container}${bound}`);
    add(entry, "master", `docker://${container}${routerPaths.master}`);
    add(entry, "configuration", { path: routerPaths.configuration });
    add(entry, "listen", { ...routerListen });
  },
  edge: ({ entry, accessory }) => add(entry, "address", addressOf(accessory, "edge")),
  gate: ({ entry, accessory }) => {
    const gate = below(entry, "gate");
    const address = addressOf(accessory, "gate");
    if (gate !== undefined && address !== undefined) add(gate, "url", `http://${address}`);
  },
  resolver: ({ entry, accessory }) => add(entry, "address", addressOf(accessory, "resolver")),
};

function add(entry: Record<string, unknown>, key: string, value: unknown): void {
  if (value !== undefined && (entry[key] === undefined || entry[key] === null)) entry[key] = value;
}

function below(entry: Record<string, unknown>, key: string): Record<string, unknown> | undefined {
  const value = entry[key];
  return isTree(value) ? value : undefined;
}

function addLocal(entry: Record<string, unknown>, key: string, value: string): void {
  add(entry, "local", {});
  const local = below(entry, "local");
  if (local !== undefined) add(local, key, value);
}

/** The node pooler beside a Postgres in a container is restarted by the engine, too. */
function addPoolerContainer(entry: Record<string, unknown>): void {
  const control = below(entry, "control");
  const local = below(entry, "local")?.["pooler"];
  if (control?.["container"] === undefined || control["restartPooler"] !== undefined) return;
  if (typeof local === "string") add(control, "poolerContainer", local.replace(/:[0-9]+$/, ""));
}

/** The one port, or of several the one that leads to where this kind usually listens. */
function portOf({ published }: KamalAccessory, kind: PartKind): PublishedPort | undefined {
  const [only, second] = published;
  if (second === undefined) return only;
  return published.find((one) => one.containerPort === containerPorts[kind]);
}

/** Where others reach it; undefined where it publishes nothing, or on every address of its host. */
function addressOf(accessory: KamalAccessory, kind: PartKind): string | undefined {
  const found = portOf(accessory, kind);
  if (found?.host === undefined) return undefined;
  return formatAddress({ host: found.host, port: found.port });
}

/** Where the containers of its host reach it. */
function inContainer(accessory: KamalAccessory, kind: PartKind): string {
  const port = portOf(accessory, kind)?.containerPort ?? containerPorts[kind];
  return `${accessory.container}:${port}`;
}
