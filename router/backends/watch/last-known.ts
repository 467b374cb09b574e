/**
 * The last good answers in a file, so that a start without name servers has addresses. Written as a
 * whole, at most once a second when something has changed and once a minute otherwise.
 */
import { access, constants, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { isHostAddress } from "../../../config/host-address.ts";
import { writeFileAtomically } from "../../../kit/atomic-file.ts";
import type { Clock } from "../../../kit/clock.ts";
import type { Log } from "./events.ts";
import { readIp } from "../lookup/ip.ts";
import { isPort, mostAddresses } from "../lookup/merge.ts";
import type { FoundAddress, Question } from "../lookup/outcome.ts";
import type { Remembered } from "./registration.ts";
import type { Due, Schedule } from "./schedule.ts";

export interface LastKnown {
  /** Keeps a good answer of now. */
  note(question: Question, addresses: readonly FoundAddress[]): void;
  /** What was known in an earlier run or is known now; undefined when it is nothing. */
  recall(question: Question): Promise<Remembered | undefined>;
  /** Writes what has not been written. It throws nothing: what fails is logged. */
  flush(): Promise<void>;
}

const version = 1;
const changedMs = 1000;
const unchangedMs = 60_000;
/** Names that nobody has asked for in so long are left out of the file. */
const forgottenMs = 30 * 86_400_000;
const largestBytes = 64 * 1024 * 1024;

/** What was asked, and of whom: two name servers may be of two worlds. */
function keyOf({ hostname, srv, family, servers }: Question): string {
  const name = (srv ?? hostname).toLowerCase().replace(/\.$/, "");
  return [name, family, ...(srv === undefined ? [] : ["srv"]), ...servers].join(" ");
}

interface Content {
  readonly version: number;
  readonly names: Readonly<Record<string, Remembered>>;
}

/** What is kept at `path`; a file that cannot be read is logged and counts as empty. */
export function createLastKnown(
  path: string,
  means: { readonly clock: Clock; readonly schedule: Schedule; readonly log: Log },
): LastKnown {
  const { clock, schedule, log } = means;
  const names = new Map<string, Remembered>();
  let due: { readonly atMs: number; readonly due: Due } | undefined;
  let isDirty = false;
  let writing: Promise<void> = Promise.resolve();
  const loading = async (): Promise<void> => {
    const old = await load(path, log);
    // What has been answered meanwhile is newer.
    for (const [name, known] of old) if (!names.has(name)) names.set(name, known);
  };
  const loaded = loading();
  void refuseUnwritable(path, log);
  const write = async (): Promise<void> => {
    await loaded;
    if (!isDirty) return;
    isDirty = false;
    try {
      await save(path, names, clock.now() - forgottenMs);
    } catch (error) {
      isDirty = true;
      log.warn({ err: error, path }, `last known addresses are not written to ${path}`);
    }
  };
  const flush = async (): Promise<void> => {
    due?.due.cancel();
    due = undefined;
    writing = afterwards(writing, write);
    await writing;
  };
  return {
    note: (question, addresses) => {
      const key = keyOf(question);
      const isChanged = !areSame(names.get(key)?.addresses, addresses);
      names.set(key, { addresses, resolvedAt: clock.now() });
      isDirty = true;
      const atMs = clock.monotonic() + (isChanged ? changedMs : unchangedMs);
      if (due !== undefined && due.atMs <= atMs) return;
      due?.due.cancel();
      due = { atMs, due: schedule.at(atMs, () => void flush()) };
    },
    recall: async (question) => {
      await loaded;
      return names.get(keyOf(question));
    },
    flush,
  };
}

/** Said at the start, and not when it is needed. A file is replaced, so its folder counts. */
async function refuseUnwritable(path: string, log: Log): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    log.warn({ err: error, path }, `last known addresses cannot be written to ${path}`);
  }
}

async function afterwards(before: Promise<void>, next: () => Promise<void>): Promise<void> {
  await before;
  await next();
}

async function save(
  path: string,
  names: ReadonlyMap<string, Remembered>,
  oldest: number,
): Promise<void> {
  const young = [...names].filter(([, { resolvedAt }]) => resolvedAt >= oldest);
  const content: Content = { version, names: Object.fromEntries(young) };
  await writeFileAtomically(path, `${JSON.stringify(content)}\n`, { mode: 0o600 });
}

function areSame(left: readonly FoundAddress[] = [], right: readonly FoundAddress[]): boolean {
  return (
    left.length === right.length &&
    left.every((one, at) => one.ip === right[at]?.ip && one.port === right[at]?.port)
  );
}

async function load(path: string, log: Log): Promise<(readonly [string, Remembered])[]> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > largestBytes) throw new RangeError(`${path} is larger than it can be`);
    const content = JSON.parse(text) as Partial<Content> | null;
    if (content?.version !== version) throw new TypeError(`${path} is not of version ${version}`);
    return Object.entries(content.names ?? {}).flatMap(([name, known]) => {
      const read = readKnown(known);
      return read === undefined ? [] : [[name, read] as const];
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      log.warn({ err: error, path }, `last known addresses cannot be read from ${path}`);
    }
    return [];
  }
}

/** Believes nothing of a file that anybody may have edited. */
function readKnown(known: Partial<Remembered> | null): Remembered | undefined {
  const { addresses, resolvedAt } = known ?? {};
  if (!Array.isArray(addresses) || typeof resolvedAt !== "number") return undefined;
  const read = (addresses as (Partial<FoundAddress> | null)[]).flatMap((one) => {
    const ip = typeof one?.ip === "string" ? readIp(one.ip) : undefined;
    if (ip === undefined || !isHostAddress(ip.text)) return [];
    const { port, share } = one ?? {};
    const isShare = typeof share === "number" && share >= 0 && share < 1e6;
    return [
      {
        ip: ip.text,
        family: ip.family,
        port: isPort(port) ? port : undefined,
        share: isShare ? share : 1,
      },
    ];
  });
  return read.length === 0 ? undefined : { addresses: read.slice(0, mostAddresses), resolvedAt };
}
