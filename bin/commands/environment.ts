/** What the verbs have alike about the environment they are given: its file, its parts by name. */
import { loadEnvironment } from "../../config/load.ts";
import type { Environment, Member } from "../../config/schema.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { nearest } from "../../kit/nearest.ts";
import { isMonitored, whyManaged } from "../../router/cluster/managers.ts";
import type { Deed } from "../../router/cluster/managers.ts";
import { lockHolder } from "../../router/flip-db/history.ts";
import { LockedError } from "../../router/operation/lock.ts";
import { UsageError } from "../cli/command.ts";
import { RefusedError } from "../cli/confirm.ts";

/** The environment that `name` means in this checkout. @throws ConfigError */
export async function environmentNamed(
  name: string,
  options: { readonly withoutSecrets?: boolean } = {},
): Promise<Environment> {
  return await loadEnvironment(name, { folder: inCheckout("config"), ...options });
}

/** "did you mean …?" where one is near, and all that there are. */
export function nearestHint(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  const all = known.length === 0 ? "there is none" : `there is ${known.join(", ")}`;
  return near === undefined ? all : `did you mean ${near}? ${all}`;
}

/** The member that the command line names. @throws UsageError where there is none of that name */
export function memberNamed({ name: environment, members }: Environment, name: string): Member {
  const member = members.find((one) => one.name === name);
  if (member !== undefined) return member;
  throw new UsageError(
    `${environment} has no member ${JSON.stringify(name)}`,
    nearestHint(
      name,
      members.map((one) => one.name),
    ),
  );
}

/**
 * What to throw for a refusal: what another operation is in the middle of looks like something to be
 * mended, so where one holds the lock, it is a LockedError that says whose; otherwise a RefusedError.
 */
export async function refusal(
  environment: Environment,
  why: string,
  signal: AbortSignal,
): Promise<LockedError | RefusedError> {
  const holder = await lockHolder(environment, signal);
  return holder === null
    ? new RefusedError(why)
    : new LockedError(`cluster ${environment.cluster}`, holder);
}

/** What a monitor can be asked for. */
const asked: readonly Deed[] = ["flip", "failover"];

/**
 * @param about the member that something is wanted of
 * @throws RefusedError for a cluster that another manager runs, unless its monitor can be asked; its
 * own command is named
 */
export function refuseManaged(environment: Environment, deed: Deed, about?: string): void {
  if (isMonitored(environment) && asked.includes(deed)) return;
  const why = whyManaged(environment.members, deed, about);
  if (why !== undefined) throw new RefusedError(why);
}
