/**
 * Looks at the members' hosts through their control: the control file's identity, free space, the
 * programs of a rebuild, how quick restore_command says no, and whether the old primary can open a
 * replication connection to the standby. Every program has a deadline and changes nothing.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Environment, Member } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { Report } from "../../cluster/observation.ts";
import { reporter } from "../../cluster/look.ts";
import { valueOf } from "../../cluster/view.ts";
import type { HostControl } from "../../postgres/control/contract.ts";
import { openHost } from "../../postgres/control/host.ts";
import type { HostLook, MemberLook } from "./facts.ts";
import { conninfoVariables, freeBytesOf, restoreWords } from "./host-words.ts";

interface Looking {
  readonly from: string | null;
  readonly to: string | null;
  readonly postgres: Readonly<Record<string, Report<MemberLook>>>;
  readonly signal: AbortSignal | undefined;
}

const hostDeadlineMs = 5000;
/** An engine makes a container for the programs first. */
const containerDeadlineMs = 15_000;
/** Longer than this a restore_command is slow, whatever it does. */
const programDeadlineMs = 3000;

/** Looks at the host of every member with `control`. @throws the signal's reason */
export async function lookAtHosts(
  environment: Environment,
  looking: Looking,
): Promise<Readonly<Record<string, Report<HostLook>>>> {
  const looks = environment.members.flatMap((member) =>
    member.control === undefined
      ? []
      : [
          lookFor(member, looking)(`the host of ${member.name}`, async ({ signal }) => {
            const host = openHost(environment, member.name);
            try {
              return await lookAtHost(host, member, looking, signal);
            } finally {
              host.close();
            }
          }).then((report) => [member.name, report] as const),
        ],
  );
  return Object.fromEntries(await Promise.all(looks));
}

function lookFor({ control }: Member, { signal }: Looking): ReturnType<typeof reporter> {
  return reporter(control?.container === undefined ? hostDeadlineMs : containerDeadlineMs, signal);
}

async function lookAtHost(
  host: HostControl,
  member: Member,
  { from, to, postgres }: Looking,
  signal: AbortSignal,
): Promise<HostLook> {
  const { name } = member;
  const seen = postgres[name] === undefined ? null : valueOf(postgres[name]);
  const [inspected, space] = await Promise.all([
    host.inspect(signal, "light"),
    spaceAndPrograms(host, member, signal),
  ]);
  // After the first program: what that had to open is not a part of their time.
  const [restoreMs, reverse] = await Promise.all([
    name === to && seen !== null ? restoreTime(host, seen.restoreCommand, signal) : null,
    name === from && seen !== null ? reverseLook(host, member, seen.primaryConninfo, signal) : null,
  ]);
  const systemIdentifier = inspected.control?.systemIdentifier ?? null;
  return { systemIdentifier, ...space, restoreMs, reverse };
}

/** Where a server program lies on the member's host. */
function program(member: Member, name: string): string {
  const folder = member.control?.programs;
  return folder === undefined ? name : join(folder, name);
}

function firstProgramDeadlineMs({ control }: Member): number {
  return control?.container === undefined ? programDeadlineMs : containerDeadlineMs;
}

/** One program for both, since over a network each costs a login. */
const spaceScript = `df -Pk "$1"; shift; for one; do command -v "$one" >/dev/null || echo "missing $one"; done`;

async function spaceAndPrograms(
  host: HostControl,
  member: Member,
  signal: AbortSignal,
): Promise<Pick<HostLook, "freeBytes" | "missingPrograms">> {
  const names = ["pg_basebackup", "pg_rewind", "pg_verifybackup"];
  const programs = names.map((name) => program(member, name));
  const argv: [string, ...string[]] = ["sh", "-c", spaceScript, "sh", host.data, ...programs];
  const printed = await host.run(argv, { deadlineMs: firstProgramDeadlineMs(member), signal });
  const missing = names.filter((_name, at) => printed.includes(`missing ${programs[at]}\n`));
  return { freeBytes: freeBytesOf(printed), missingPrograms: missing };
}

/** PostgreSQL manual, 26.3.6: it is asked for history files that need not exist. */
async function restoreTime(
  host: HostControl,
  command: string,
  signal: AbortSignal,
): Promise<number | null> {
  const scratch = `/tmp/switchyard-precheck-${randomUUID()}`;
  const words = restoreWords(command, host.data, scratch);
  if (words === null) return null;
  const startedAt = systemClock.monotonic();
  // It is to fail: there is no such file.
  await host.run(words, { deadlineMs: programDeadlineMs, signal }).catch(() => undefined);
  signal.throwIfAborted();
  return Math.round(systemClock.monotonic() - startedAt);
}

/** Asks the standby who it is over a replication connection, with the primary's own words. */
async function reverseLook(
  host: HostControl,
  member: Member,
  conninfo: string,
  signal: AbortSignal,
): Promise<Report<string>> {
  const look = reporter(programDeadlineMs, signal);
  return await look(`replication connection of ${member.name}`, async (options) => {
    const env = conninfoVariables(conninfo);
    if (env === null) throw new TypeError("primary_conninfo is not set, or cannot be read");
    const words = ["-XAtq", "-d", "dbname=replication replication=true", "-c", "IDENTIFY_SYSTEM"];
    const psql = program(member, "psql");
    const printed = await host.run([psql, "--no-password", ...words], { ...options, env });
    return printed.split("|")[0]?.trim() ?? "";
  });
}
