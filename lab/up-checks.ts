/** What must hold before a lab is made, and before one that stands counts as up. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { declaredAliases } from "../config/load.ts";
import { environmentHead, isEnvironmentOf } from "./environment.ts";
import type { LabDriver } from "./driver/driver.ts";
import type { LabPlace } from "./place.ts";
import { labFolder, modelOf } from "./state.ts";
import type { LabState } from "./state.ts";

/** The lab does not do this, because it could harm something. */
export class LabRefusedError extends Error {
  override readonly name = "LabRefusedError";
  readonly code = "ERR_REFUSED";
}

type Made = Pick<LabState, "driver" | "cluster" | "memberCount" | "names">;

const impossible: readonly (readonly [is: (asked: Made) => boolean, says: string])[] = [
  [
    ({ driver, cluster }) => driver === "docker" && cluster !== "pair",
    "a cluster of pg_auto_failover is made of programs on this machine: leave --driver docker out",
  ],
  [
    ({ cluster, memberCount }) => cluster === "pair" && memberCount !== 2,
    "a pair has two members: a third goes with --cluster pg_auto_failover",
  ],
];

/**
 * Not everything goes with everything.
 * @throws LabRefusedError
 */
export function refuseUnlessPossible(asked: Made): void {
  for (const [is, says] of impossible) if (is(asked)) throw new LabRefusedError(says);
}

/**
 * A lab is an environment, so its name must not be one that stands for something else, and not one
 * of a lab in another place, such as another user's.
 * @throws LabRefusedError
 */
export async function checkName(place: LabPlace, name: string): Promise<void> {
  const entries = await readdir(place.configFolder).catch(() => []);
  for (const entry of entries.filter((one) => one.endsWith(".yml"))) {
    const file = join(place.configFolder, entry);
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.startsWith(environmentHead)) {
      if (entry !== `${name}.yml` || isEnvironmentOf(labFolder(place, name), text) !== false)
        continue;
      throw new LabRefusedError(
        `${file} is the environment of a lab ${name} in another place, which its second line names: give the lab another name, or remove the file when that lab is gone`,
      );
    }
    const names = [entry.replace(/(\.example)?\.yml$/, ""), ...aliasesOf(text)];
    if (names.includes(name)) {
      throw new LabRefusedError(`${name} is the environment of ${file}: give the lab another name`);
    }
  }
}

function aliasesOf(text: string): string[] {
  try {
    return declaredAliases(text);
  } catch {
    // A file that cannot be read names nothing; whoever uses it is told why.
    return [];
  }
}

/**
 * A lab counts as up when all of its parts run and nothing is cut.
 * @throws LabRefusedError saying what is not so, and what helps
 */
export async function refuseUnlessWhole(
  place: LabPlace,
  driver: LabDriver,
  state: LabState,
): Promise<void> {
  const { name } = state;
  if (state.configFolder !== place.configFolder) {
    throw new LabRefusedError(
      `lab ${name} belongs to another checkout (${state.configFolder}): end it there, or with bin/lab down --name ${name}`,
    );
  }
  const model = modelOf(place, state);
  const broken = (await driver.states(model, state)).filter((one) => one.state !== "running");
  const cuts = await driver.cuts(model);
  if (broken.length === 0 && cuts.length === 0) return;
  const facts = [
    ...broken.map((one) => `${one.part} is ${one.state}`),
    ...cuts.map(([one, other]) => `${one} and ${other} are cut off from each other`),
  ];
  throw new LabRefusedError(
    `lab ${name} is there, but ${facts.join(", ")}: mend it with start, thaw or heal, or end it with bin/lab down --name ${name}`,
  );
}

const wishWords = {
  driver: "driver",
  cluster: "cluster",
  memberCount: "members",
  names: "names",
  appHosts: "app hosts",
  pooling: "pooling",
  sharedBuffers: "shared_buffers",
  archiveCommand: "archive_command",
} as const satisfies Partial<Record<keyof LabState, string>>;

/**
 * A lab that stands is not changed by another up, so what is asked for must be what it has; what is
 * left out is not asked for.
 * @throws LabRefusedError naming each difference
 */
export function refuseUnlessAsWished(
  state: Pick<LabState, "name" | keyof typeof wishWords>,
  wishes: Partial<Pick<LabState, keyof typeof wishWords>>,
): void {
  const keys = Object.keys(wishWords) as (keyof typeof wishWords)[];
  const facts = keys
    .filter((key) => wishes[key] !== undefined && wishes[key] !== state[key])
    .map((key) => `${wishWords[key]} ${shown(state[key])} instead of ${shown(wishes[key])}`);
  if (facts.length === 0) return;
  throw new LabRefusedError(
    `lab ${state.name} is up already, with ${facts.join(", ")}; nothing was changed: bin/lab down --name ${state.name} ends it, and up then makes it as asked`,
  );
}

function shown(value: string | number | boolean | null | undefined): string {
  if (value === true) return "on";
  return value === null || value === false || value === undefined ? "off" : String(value);
}
