/**
 * Fills in what an environment leaves to Kamal: where the accessories of deploy.yml that are parts
 * of its members, routers and edge poolers stand, how they are reached and what their containers
 * are called. What stands in the environment file itself goes before.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { nearest } from "../kit/nearest.ts";
import type { Problem } from "./explain.ts";
import { fillPart } from "./kamal-fill.ts";
import type { Placed } from "./kamal-fill.ts";
import { isTree, KamalOutputError, parseKamalOutput } from "./kamal-output.ts";
import type { KamalAccessory, KamalOutput, Tree } from "./kamal-output.ts";
import { kamalHostName, kamalLabels, listOfKind, partKinds } from "./kamal-words.ts";
import type { PartKind } from "./kamal-words.ts";
import { accessoryValue, fileValue, partValue } from "./values.ts";

/** The tree of an environment file with what Kamal knows, and what is wrong with that. */
export interface Filled {
  readonly tree: unknown;
  readonly problems: readonly Problem[];
}

const sizeLimitBytes = 1024 * 1024;
const filePath = ["kamal", "file"];

/** Fills in `tree`, the plain values of the environment `source`. A wrong key is left to the schema. */
export async function fillFromKamal(
  tree: unknown,
  source: { readonly name: string; readonly file: string },
): Promise<Filled> {
  const kamal = isTree(tree) ? tree["kamal"] : undefined;
  const name = isTree(kamal) ? kamal["file"] : undefined;
  if (!isTree(tree) || !isTree(kamal) || !fileValue.safeParse(name).success) {
    return { tree, problems: [] };
  }
  const file = resolve(dirname(source.file), String(name));
  try {
    return filled(tree, parseKamalOutput(await textOf(file)), { environment: source.name, file });
  } catch (error) {
    if (!(error instanceof KamalOutputError)) throw error;
    return { tree, problems: [{ path: filePath, message: `${file}: ${error.message}` }] };
  }
}

async function textOf(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > sizeLimitBytes) throw new Error(`it has more than ${sizeLimitBytes} bytes`);
    return await readFile(file, "utf8");
  } catch (cause) {
    const { message } = cause as Error;
    throw new KamalOutputError("", `cannot be read: ${message} (kamal config prints it)`);
  }
}

interface Reading {
  readonly environment: string;
  readonly file: string;
}

/** An accessory and the part that it is; without a name it is one on each of its hosts. */
interface Claim {
  readonly accessory: KamalAccessory;
  readonly kind: PartKind;
  readonly name: string | undefined;
}

function filled(tree: Tree, output: KamalOutput, reading: Reading): Filled {
  const copy = structuredClone(tree) as Record<string, unknown>;
  const problems: Problem[] = [];
  const say = (path: readonly PropertyKey[], message: string): void => {
    problems.push({ path, message });
  };
  const taken = new Map<unknown, Map<PartKind, string>>();
  for (const claim of claims(copy, output, reading, say)) {
    for (const placed of placesOf(copy, claim, output, reading, say)) {
      const kinds = taken.get(placed.entry) ?? new Map<PartKind, string>();
      const other = kinds.get(claim.kind);
      const { name } = claim.accessory;
      if (other === undefined) kinds.set(claim.kind, name);
      else
        say(filePath, `${reading.file}: accessories ${other} and ${name} are both ${placed.part}`);
      taken.set(placed.entry, kinds);
      fillPart(copy, claim.kind, placed);
    }
  }
  return { tree: copy, problems };
}

type Say = (path: readonly PropertyKey[], message: string) => void;

/** What the environment says of accessories, and of the rest what their labels say. */
function claims(tree: Tree, output: KamalOutput, reading: Reading, say: Say): Claim[] {
  const kamal = isTree(tree["kamal"]) ? tree["kamal"] : {};
  const listed = Array.isArray(kamal["accessories"]) ? (kamal["accessories"] as unknown[]) : [];
  const named = new Set<string>();
  const declared = listed.flatMap((one, index): Claim[] => {
    const [name, part] = isTree(one) ? [one["name"], one["part"]] : [];
    if (!accessoryValue.safeParse(name).success || !partValue.safeParse(part).success) return [];
    named.add(String(name));
    const accessory = output.accessories.get(String(name));
    if (accessory !== undefined) return [claimOf(accessory, String(part))];
    const known = [...output.accessories.keys()];
    const near = nearest(String(name), known);
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    say(
      ["kamal", "accessories", index, "name"],
      `${reading.file} has no accessory ${String(name)} (there is ${known.join(", ") || "none"})${hint}`,
    );
    return [];
  });
  const labelled = [...output.accessories.values()].flatMap((accessory): Claim[] => {
    const { [kamalLabels.part]: part, [kamalLabels.environment]: environment } = accessory.labels;
    if (part === undefined || environment !== reading.environment) return [];
    if (named.has(accessory.name)) return [];
    if (partValue.safeParse(part).success) return [claimOf(accessory, part)];
    const place = `accessories.${accessory.name}.labels.${kamalLabels.part}`;
    say(filePath, `${reading.file}: ${place}: expected NAME/KIND; KIND is ${partKinds.join(", ")}`);
    return [];
  });
  return [...declared, ...labelled];
}

function claimOf(accessory: KamalAccessory, part: string): Claim {
  const words = part.split("/");
  const kind = partKinds.find((one) => one === words.at(-1)) ?? "postgres";
  return { accessory, kind, name: words.length === 2 ? words[0] : undefined };
}

/** The entries of the environment that a claim is about, one for each host of the accessory. */
function placesOf(
  tree: Tree,
  { accessory, kind, name }: Claim,
  output: KamalOutput,
  { file }: Reading,
  say: Say,
): Placed[] {
  const place = `${file}: accessories.${accessory.name}`;
  const { hosts } = accessory;
  if (hosts === undefined) {
    say(
      filePath,
      `${place}: expected host or hosts: kamal config does not say where a role or a tag stands`,
    );
    return [];
  }
  if (name !== undefined && hosts.length !== 1) {
    say(
      filePath,
      `${place}.hosts: expected one host, since it is ${name}/${kind}; got ${hosts.length}`,
    );
    return [];
  }
  const list = listOfKind[kind];
  const entries = entriesOf(tree, list);
  return hosts.flatMap((kamalHost): Placed[] => {
    const host = hostCalled(tree, kamalHost, output);
    if (host === undefined) {
      say(
        filePath,
        `${place}: stands on ${kamalHost}, and no host here is called so: add {name: NAME, kamal: ${kamalHost}} to hosts`,
      );
      return [];
    }
    const wanted = entries.filter((one) =>
      name === undefined ? one["host"] === host : one["name"] === name,
    );
    if (wanted.length === 0) {
      const missing = name === undefined ? `with host: ${host}` : `called ${name}`;
      say(filePath, `${place}: is a ${kind} of an entry of ${list} ${missing}, and there is none`);
    }
    return wanted.map((entry) => ({
      entry,
      accessory,
      host,
      part: `${String(entry["name"])}/${kind}`,
    }));
  });
}

function entriesOf(tree: Tree, list: string): Record<string, unknown>[] {
  const all = list
    .split(".")
    .reduce<unknown>((value, key) => (isTree(value) ? value[key] : undefined), tree);
  return Array.isArray(all) ? ((all as unknown[]).filter(isTree) as Record<string, unknown>[]) : [];
}

/** The name of the host that Kamal calls so; its engine is the one that Kamal logs in to. */
function hostCalled(tree: Tree, kamalHost: string, output: KamalOutput): string | undefined {
  const found = entriesOf(tree, "hosts").find((one) => {
    const text = (key: string): string | undefined =>
      typeof one[key] === "string" ? one[key] : undefined;
    const name = text("name");
    if (name === undefined) return false;
    return kamalHostName({ name, engine: text("engine"), kamal: text("kamal") }) === kamalHost;
  });
  if (found === undefined) return undefined;
  const bracketed = kamalHost.includes(":") ? undefined : kamalHost;
  if (found["engine"] === undefined && bracketed !== undefined) {
    found["engine"] = `ssh://${output.sshUser}@${bracketed}:${output.sshPort}`;
  }
  return String(found["name"]);
}
