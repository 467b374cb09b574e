/**
 * Which names of the zone are a service's, told by the names below them: `primary.<svc>`,
 * `replica.<svc>` and `<svc>-<ordinal>.<svc>`. Names relative to the apex, as zone/tree.ts has them.
 */
import { firstLabel, parentOf } from "./tree.ts";
import type { NameTree } from "./tree.ts";

const roles = ["\x07primary", "\x07replica"] as const;

/** The service that a name is of a member or a role of; undefined for every other name. */
function serviceAbove(labels: string): string | undefined {
  const service = parentOf(labels);
  if (service === "" || parentOf(service) !== "") return undefined;
  const own = firstLabel(labels);
  const name = firstLabel(service);
  const isMember = own.startsWith(`${name}-`) && /^[0-9]{1,3}$/.test(own.slice(name.length + 1));
  const isRole = roles.some((role) => labels.startsWith(role));
  return isMember || isRole ? service : undefined;
}

/**
 * Gives the service of a name both its role names, though they may have no records: a client is told
 * that there is no primary now, and not that there is no such name, which it would keep in mind
 * (RFC 8020; RFC 2308, 5).
 */
export function growRoles(tree: NameTree, labels: string): void {
  const service = serviceAbove(labels);
  if (service === undefined) return;
  for (const role of roles) tree.grow(`${role}${service}`);
}

/** True for the name of a service whose names have been grown. */
export function isService(tree: NameTree, labels: string): boolean {
  return parentOf(labels) === "" && tree.find(`${roles[0]}${labels}`) !== undefined;
}
