/**
 * Where a rebuild works: the member's host, its data directory and the names beside it, and how
 * the source is reached from there.
 */
import { dirname } from "node:path";
import type { Environment, Member, MemberControlKeys } from "../../config/schema.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { HostControl } from "../postgres/control/contract.ts";
import { openHost } from "../postgres/control/host.ts";
import { memberTarget } from "../postgres/session.ts";
import type { LeftoverKind } from "./observation.ts";

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

/** Words of a connection to the source for libpq; the password is in a file of the work folder. */
export function sourceConninfo(
  { environment, source }: RebuildPlace,
  applicationName: string,
  passfile: string,
  caFile: string,
): string {
  const { host, port } = source.postgres;
  const { login } = environment;
  const ca = login.tlsCa === undefined ? "" : ` sslrootcert=${caFile}`;
  const words = `host=${host} port=${port} user=${login.user} passfile=${passfile}`;
  return `${words} application_name=${applicationName} connect_timeout=10 sslmode=${login.tls}${ca}`;
}

/** The line of a password file for the source. PostgreSQL manual, 34.16 "The Password File". */
export function passfileLine({ environment, source }: RebuildPlace): string {
  const { login } = environment;
  const escaped = (text: string): string => text.replaceAll(/[\\:]/g, String.raw`\$&`);
  const { host, port } = source.postgres;
  return `${escaped(host)}:${port}:*:${escaped(login.user)}:${escaped(login.password.reveal())}\n`;
}
