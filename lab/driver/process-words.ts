/** What the program of each part of a lab of processes is: its words, and what its environment says. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { formatAddress } from "../../kit/address.ts";
import { inCheckout } from "../../kit/checkout.ts";
import type { LabModel, Part, PartKind } from "../model.ts";
import { LabUnavailableError } from "../place.ts";
import type { LabPlace } from "../place.ts";
import type { Programs } from "../programs.ts";
import { nodeFile, registryVariables, tokenFile } from "../registry.ts";
import { autoctlVariables, runWords } from "./autoctl-words.ts";
import { postgresWords } from "./part.ts";
import { ownPrograms } from "./processes.ts";

/** What the programs of a lab are started with. */
export interface ProcessSetting {
  readonly model: LabModel;
  readonly place: LabPlace;
  readonly programs: Programs;
  /** The folder with the lab's environment file. */
  readonly configFolder: string;
}

type CommandLine = readonly [program: string, ...words: string[]];
type Words = (driver: ProcessSetting, part: Part) => CommandLine;

const pooler: Words = ({ programs }, part) => [
  programs.pgbouncer,
  join(part.folder, "pgbouncer.ini"),
];

const autoctl: Words = ({ programs }, part) => {
  if (programs.autoctl === undefined) {
    throw new LabUnavailableError(`${part.name} needs pg_autoctl, which is gone: run bin/setup`);
  }
  return [programs.autoctl, ...runWords(part)];
};

const commandLines: Readonly<Record<PartKind, Words>> = {
  postgres: ({ programs }, part) => [
    join(programs.postgresFolder, "postgres"),
    ...postgresWords(part),
  ],
  pooler,
  edge: pooler,
  router: ({ programs }, part) => [
    programs.haproxy,
    ...["-W", "-S", `${part.folder}/master.sock,mode,600`, "-f", `${part.folder}/haproxy.cfg`],
  ],
  health: (driver, part) => [
    process.execPath,
    inCheckout(ownPrograms.health),
    ...["--env", driver.model.name, "--member", part.host],
    ...["--config-folder", driver.configFolder],
  ],
  gate: (driver, part) => [
    process.execPath,
    inCheckout(ownPrograms.gate),
    ...["--env", driver.model.name, "--gate", edgePoolerOf(driver.model, part)],
    ...["--config-folder", driver.configFolder],
  ],
  monitor: autoctl,
  registry: () => [process.execPath, inCheckout(ownPrograms.registry), "start"],
  resolver: () => [process.execPath, inCheckout(ownPrograms.resolver)],
};

function edgePoolerOf(model: LabModel, part: Part): string {
  return model.apps.find((one) => one.name === part.host)?.edgePooler ?? part.host;
}

/** Whether pg_autoctl runs the part's Postgres. */
export function isAutoctl({ cluster }: LabModel, { kind }: Part): boolean {
  return kind === "monitor" || (kind === "postgres" && cluster === "pg_auto_failover");
}

/**
 * The program of a part and its words.
 * @throws LabUnavailableError when the program is not here any more
 */
export function wordsOf(driver: ProcessSetting, part: Part): CommandLine {
  const words = isAutoctl(driver.model, part) ? autoctl : commandLines[part.kind];
  return words(driver, part);
}

/** What a part's program is told by its environment, besides its words. */
export async function variablesOf(
  model: LabModel,
  part: Part,
): Promise<Readonly<Record<string, string>>> {
  if (isAutoctl(model, part)) return autoctlVariables(part);
  return (await variables[part.kind]?.(model, part)) ?? {};
}

type Variables = (
  model: LabModel,
  part: Part,
) => Record<string, string> | Promise<Record<string, string>>;

const variables: Readonly<Partial<Record<PartKind, Variables>>> = {
  gate: (_model, part) => ({ POOL_GATE_STATE: join(part.folder, "lease.json") }),
  registry: (model) => registryVariables(model),
  resolver: async ({ registry, resolvers }, part) => {
    const resolver = resolvers.find((one) => one.name === part.host);
    if (registry === undefined || resolver === undefined) {
      throw new TypeError(`${part.name} is no resolver of this lab`);
    }
    return {
      DNS_RESOLVER_LISTEN: formatAddress(resolver.dns),
      DNS_RESOLVER_STATUS_LISTEN: formatAddress(resolver.status),
      DNS_RESOLVER_REGISTRY: `http://${formatAddress(registry.address)}`,
      DNS_RESOLVER_NODE: (await readFile(nodeFile(part), "utf8")).trim(),
      DNS_RESOLVER_TOKEN_FILE: tokenFile(part),
      // No upstreams: what is not the zone's is nobody's here.
      DNS_RESOLVER_STATE: join(part.folder, "state"),
    };
  },
};
