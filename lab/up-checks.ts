/** What must hold before a lab is made, and before one that stands counts as up. */
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { declaredAliases } from "../config/load.ts";
import { formatAddress } from "../kit/address.ts";
import { environmentHead } from "./environment.ts";
import { listCuts } from "./driver/faults.ts";
import type { LabModel } from "./model.ts";
import { LabUnavailableError } from "./place.ts";
import type { LabPlace } from "./place.ts";
import { processesOf } from "./driver/processes.ts";
import { modelOf } from "./state.ts";
import type { LabState } from "./state.ts";
import { partStates } from "./status.ts";

/** The lab does not do this, because it could harm something. */
export class LabRefusedError extends Error {
  override readonly name = "LabRefusedError";
  readonly code = "ERR_REFUSED";
}

// sun_path holds 108 bytes with the final zero; HAProxy binds PATH.PID.tmp first.
const longestSocketPath = 107;
const socketSuffixLength = "/admin.sock.4194304.tmp".length;

/**
 * A lab is an environment, so its name must not be one that stands for something else.
 * @throws LabRefusedError
 */
export async function checkName(place: LabPlace, name: string): Promise<void> {
  const entries = await readdir(place.configFolder).catch(() => []);
  for (const entry of entries.filter((one) => one.endsWith(".yml"))) {
    const file = join(place.configFolder, entry);
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.startsWith(environmentHead)) continue;
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
 * No process may stand in a part's place already: it would be taken for the part.
 * @throws LabUnavailableError
 */
export function checkProcesses(model: LabModel): void {
  for (const [part, seen] of processesOf(model.parts)) {
    const pids = seen.map((one) => one.pid).join(", ");
    if (pids === "") continue;
    throw new LabUnavailableError(
      `lab ${model.name} needs the place of ${part}, and there are processes of an earlier lab in it: end them (pid ${pids})`,
    );
  }
}

/**
 * Every socket must fit into a socket address.
 * @throws LabUnavailableError
 */
export function checkPaths(model: LabModel): void {
  for (const { folder } of model.parts) {
    if (Buffer.byteLength(folder) + socketSuffixLength <= longestSocketPath) continue;
    throw new LabUnavailableError(
      `${folder} is too long for a socket in it (${longestSocketPath} bytes in all): give the lab a shorter name, or set XDG_STATE_HOME to a shorter folder`,
    );
  }
}

/**
 * Every address of the lab must be free.
 * @throws LabUnavailableError naming the address
 */
export async function checkAddresses(model: LabModel): Promise<void> {
  const addresses = model.parts.flatMap((part) => part.listens);
  await Promise.all(
    addresses.map(async ({ host, port }) => {
      const server = createServer();
      server.listen({ host, port });
      try {
        await once(server, "listening");
      } catch (cause) {
        const { code = "" } = cause as NodeJS.ErrnoException;
        const why = code === "EADDRINUSE" ? "something else listens there" : code;
        throw new LabUnavailableError(
          `lab ${model.name} needs ${formatAddress({ host, port })}, and it cannot have it: ${why} (see ss -ltnp 'sport = :${port}')`,
          { cause },
        );
      } finally {
        server.close();
      }
    }),
  );
}

/**
 * A lab counts as up when all of its parts run and nothing is cut.
 * @throws LabRefusedError saying what is not so, and what helps
 */
export async function refuseUnlessWhole(place: LabPlace, state: LabState): Promise<void> {
  const { name } = state;
  if (state.configFolder !== place.configFolder) {
    throw new LabRefusedError(
      `lab ${name} belongs to another checkout (${state.configFolder}): end it there, or with bin/lab down --name ${name}`,
    );
  }
  const model = modelOf(place, state);
  const broken = partStates(model, state).filter((one) => one.state !== "running");
  const cuts = await listCuts(model);
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
    .map((key) => `${wishWords[key]} ${state[key] ?? "off"} instead of ${wishes[key] ?? "off"}`);
  if (facts.length === 0) return;
  throw new LabRefusedError(
    `lab ${state.name} is up already, with ${facts.join(", ")}; nothing was changed: bin/lab down --name ${state.name} ends it, and up then makes it as asked`,
  );
}
