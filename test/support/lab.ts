/**
 * A lab of its own for a live test: brought up when asked for, always taken down again. Labs of
 * test processes that died without doing so are swept away by the next one.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import type { ClientConfig } from "pg";
import type { Test } from "tap";
import type { Address } from "../../kit/address.ts";
import { writeFileAtomically } from "../../kit/atomic-file.ts";
import { loadEnvironment } from "../../config/load.ts";
import type { Environment } from "../../config/schema.ts";
import { labDown } from "../../lab/down.ts";
import type { LabModel, Part } from "../../lab/model.ts";
import { partsNamed } from "../../lab/model.ts";
import { labPlace } from "../../lab/place.ts";
import type { LabPlace } from "../../lab/place.ts";
import { listLabs, modelOf, requireState } from "../../lab/state.ts";
import { labStatus } from "../../lab/status.ts";
import type { PartStatus } from "../../lab/driver/driver.ts";
import type { LabSummary } from "../../lab/summary.ts";
import { labUp, upDefaults } from "../../lab/up.ts";
import type { UpRequest } from "../../lab/up.ts";
import { actOnPair, actOnPart } from "../../lab/verbs.ts";
import type { PairVerb, PartVerb } from "../../lab/verbs.ts";

type TapTest = Pick<Test, "teardown" | "comment">;

export interface LabClientOptions {
  /** "app" (the default) or "superuser". */
  readonly as?: "app" | "superuser";
  /** The lab's database when not given. */
  readonly database?: string;
  readonly config?: ClientConfig;
}

export interface TestLab {
  readonly name: string;
  /** What `bin/lab up --json` prints. */
  readonly json: LabSummary;
  /** The environment, as loadEnvironment gives it. */
  readonly environment: Environment;
  readonly configFolder: string;
  readonly place: LabPlace;
  readonly model: LabModel;
  /** Does `bin/lab VERB PART`, in this process. */
  run(verb: PartVerb, part: string): Promise<void>;
  /** Does `bin/lab cut|heal PART PART`, in this process. */
  run(verb: PairVerb, one: string, other: string): Promise<void>;
  /** How every part is now. */
  status(): Promise<readonly PartStatus[]>;
  /** A part of the lab, with its folder and group id. */
  part(name: string): Part;
  /** A connected pg client to any address of the lab; closed at the end of the test. */
  connect(address: Address, options?: LabClientOptions): Promise<Client>;
  /** The same, not yet connected. */
  client(address: Address, options?: LabClientOptions): Client;
}

let made = 0;

/**
 * Brings up a lab with a name of its own for the test `t`; it goes down when `t` ends.
 * `options` are those of `bin/lab up`; what is not given is as its defaults.
 */
export async function withLab(
  t: TapTest,
  options: Partial<Omit<UpRequest, "name">> = {},
): Promise<TestLab> {
  const place = await labPlace({ engine: process.env["DOCKER_HOST"] });
  await sweep(t, place);
  made += 1;
  const name = `t${process.pid}-${made}`;
  const clients: Client[] = [];
  const { signal } = new AbortController();
  const note = (line: string): void => t.comment(line);
  t.teardown(async () => {
    await labDown(place, name);
    // Only now: a client of a frozen part would wait for an answer to its farewell.
    await Promise.allSettled(clients.map((client) => client.end()));
  });
  const json = await labUp(place, { ...upDefaults, ...options, name }, { note, signal });
  const environment = await loadEnvironment(name, { folder: place.configFolder });
  const model = modelOf(place, await requireState(place, name));
  const client = (address: Address, asked: LabClientOptions = {}): Client => {
    const one = new Client({ ...loginOf(json, asked), ...address, ...asked.config });
    one.on("error", () => undefined);
    clients.push(one);
    return one;
  };
  return {
    name,
    json,
    environment,
    configFolder: place.configFolder,
    place,
    model,
    run: async (verb: PartVerb | PairVerb, one: string, other?: string) => {
      if (other === undefined) {
        await actOnPart(place, name, verb as PartVerb, one, { note, signal });
      } else {
        await actOnPair(place, name, verb as PairVerb, [one, other], { note, signal });
      }
    },
    status: async () => (await labStatus(place, name)).parts,
    part: (partName) => {
      const [part] = partsNamed(model, partName);
      if (part === undefined) throw new TypeError(`the lab has no part ${partName}`);
      return part;
    },
    client,
    connect: async (address, asked) => {
      const one = client(address, asked);
      await one.connect();
      return one;
    },
  };
}

/**
 * From now on the tools that read the lab's environment file wait longer for parts that are slow, and
 * for the names, where there are any: for tests that are about something else, on a machine that may
 * be busy. `more` is added to the file.
 */
export async function makePatient(lab: TestLab, more = ""): Promise<void> {
  const file = join(lab.configFolder, `${lab.name}.yml`);
  const text = await readFile(file, "utf8");
  const patient = text.replace(/^registry:$/m, "registry:\n  deadline: 10s");
  if (lab.json.registry !== null && patient === text) {
    throw new TypeError(`${file} has no registry to be patient with`);
  }
  const all = `${patient}thresholds:\n  probe: 4s\n${more}`;
  await writeFileAtomically(file, all, { mode: 0o644 });
}

function loginOf(json: LabSummary, options: LabClientOptions): ClientConfig {
  const { user, password } = options.as === "superuser" ? json.superuser : json;
  return {
    user,
    password,
    database: options.database ?? json.database,
    connectionTimeoutMillis: 10_000,
    query_timeout: 10_000,
  };
}

/** Ends the labs of test processes that are gone. One that resists is in nobody's way. */
async function sweep(t: TapTest, place: LabPlace): Promise<void> {
  for (const name of await listLabs(place)) {
    const owner = /^t([0-9]+)-[0-9]+$/.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    await labDown(place, name).catch((error: Error) => t.comment(error.message));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
