/**
 * Where a rebuild works: the member's host, its data directory and the names beside it, and how
 * the source is reached from there.
 */
import { dirname } from "node:path";
import { engineOfHost } from "../../config/hosts.ts";
import type { Environment, Member, MemberControlKeys } from "../../config/schema.ts";
import { openEngine } from "../../kit/docker.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { HostControl } from "../postgres/control/contract.ts";
import { openHost } from "../postgres/control/host.ts";
import { memberTarget } from "../postgres/session.ts";
import type { LeftoverKind, MemberSeen } from "./observation.ts";

export interface RebuildPlace {
  readonly environment: Environment;
  readonly member: Member;
  readonly source: Member;
  readonly control: MemberControlKeys;
  /** Acts on the data directory itself. */
  readonly host: HostControl;
  /** Runs programs as the owner of the folder around it, which is there when the data is not. */
  readonly beside: HostControl;
  readonly close: () => void;
}

/** Opens the host of `member`. @throws HostControlError when the member has no `control` */
export function openPlace(environment: Environment, member: Member, source: Member): RebuildPlace {
  const host = openHost(environment, member.name);
  const { control } = member;
  if (control === undefined) throw new TypeError(`${member.name} has no control`);
  const beside = openHostOf(environment, member, dirname(control.data));
  const close = (): void => {
    host.close();
    beside.close();
  };
  return { environment, member, source, control, host, beside, close };
}

/** The host of `member` with another directory in the place of its data directory. */
export function openHostOf(environment: Environment, member: Member, data: string): HostControl {
  const members = environment.members.map((one) =>
    one.name === member.name && one.control !== undefined
      ? { ...one, control: { ...one.control, data } }
      : one,
  );
  return openHost({ ...environment, members }, member.name);
}

/**
 * Asks the engine of the member's host for the mounts of its container; null for a member that is in
 * none. A mount without a source is a tmpfs: it is the container's alone,
 * and what a program writes there is gone when it ends.
 * @throws EngineError, HostError; Error when the engine has no such container
 */
export async function memberVolumes(
  { environment, member, control: { container } }: RebuildPlace,
  signal: AbortSignal,
): Promise<MemberSeen["volumes"]> {
  if (container === undefined) return null;
  const { host = "" } = member;
  const engine = openEngine(await engineOfHost(environment, host));
  try {
    const facts = await engine.inspect(container, signal);
    if (facts === null) throw new Error(`there is no container ${container} on ${host}`);
    const targets = facts.mounts.filter(({ source }) => source !== "").map(({ target }) => target);
    return { container, targets };
  } finally {
    engine.close();
  }
}

/** `<data>.<kind>-<id>`, beside the data directory. */
export function besidePath(place: RebuildPlace, kind: LeftoverKind, id: string): string {
  return `${place.control.data}.${kind}-${id}`;
}

/** Asks Postgres of `member` over a session of its own. @throws PgSessionError, DeadlineError */
export async function askMember<T>(
  { environment }: RebuildPlace,
  member: Member,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  work: (ask: AskPostgres) => Promise<T>,
): Promise<T> {
  const target = await memberTarget(environment, member, "switchyard-rebuild");
  return await withPgSession(target, options, work);
}

/**
 * Words of a connection to the source for libpq; the password is in a file of the work folder.
 * Values are quoted. PostgreSQL manual, 34.1.1.1 "Keyword/Value Connection Strings".
 */
export function sourceConninfo(
  { environment, source }: Pick<RebuildPlace, "environment" | "source">,
  applicationName: string,
  passfile: string,
  caFile: string,
): string {
  const { host, port } = source.postgres;
  const { login } = environment;
  const words: readonly (readonly [string, string])[] = [
    ["host", host],
    ["port", String(port)],
    ["user", login.user],
    ["passfile", passfile],
    ["application_name", applicationName],
    ["connect_timeout", "10"],
    ["sslmode", login.tls],
    ...(login.tlsCa === undefined ? [] : [["sslrootcert", caFile] as const]),
  ];
  return words.map(([name, value]) => `${name}=${quoted(value)}`).join(" ");
}

/** A value of a connection string: bare where libpq takes it so. */
function quoted(value: string): string {
  if (/^[^\s'\\]+$/.test(value)) return value;
  return `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}

/**
 * What stands between the quotes of a value in a configuration file. PostgreSQL manual, 20.1.2
 * "Parameter Interaction via the Configuration File".
 */
export function configText(value: string): string {
  return value.replaceAll("\\", String.raw`\\`).replaceAll("'", "''");
}

/** The line of a password file for the source. PostgreSQL manual, 34.16 "The Password File". */
export function passfileLine({ environment, source }: RebuildPlace): string {
  const { login } = environment;
  const escaped = (text: string): string => text.replaceAll(/[\\:]/g, String.raw`\$&`);
  const { host, port } = source.postgres;
  return `${escaped(host)}:${port}:*:${escaped(login.user)}:${escaped(login.password.reveal())}\n`;
}
