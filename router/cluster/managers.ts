/**
 * Clusters that another manager runs: they are not fought. Whatever we would change, it would undo or
 * already does in its own way, so its own command is named instead. Pure.
 */
import type { Member } from "../../config/schema.ts";

type Manager = Exclude<Member["manager"], "none">;

/** What an operator may want of a cluster that a manager has its own command for. */
export type Deed = "flip" | "failover" | "rebuild" | "fence" | "unfence";

const commands: Readonly<Record<Manager, Readonly<Record<Deed, string>>>> = {
  pg_auto_failover: {
    flip: "pg_autoctl perform switchover, or declare its monitor in the environment",
    failover: "pg_autoctl perform failover, or declare its monitor in the environment",
    rebuild:
      "pg_autoctl run on its host, which rewinds or copies it by itself; for one that is gone, pg_autoctl drop node, then pg_autoctl create postgres",
    fence: "pg_autoctl enable maintenance --allow-failover on its host",
    unfence: "pg_autoctl disable maintenance on its host",
  },
  patroni: {
    flip: "patronictl switchover",
    failover: "patronictl failover",
    rebuild: "patronictl reinit",
    fence: "patronictl pause, then pg_ctl stop",
    unfence: "pg_ctl start, then patronictl resume",
  },
  repmgr: {
    flip: "repmgr standby switchover",
    failover: "repmgr standby promote",
    rebuild: "repmgr node rejoin or repmgr standby clone",
    fence: "repmgr service pause, then pg_ctl stop",
    unfence: "pg_ctl start, then repmgr service unpause",
  },
};

/** The manager's own command for `deed`; of a manager that nobody here knows, that it has one. */
export function managersCommand(manager: string, deed: Deed): string {
  const known: Readonly<Record<string, Readonly<Record<Deed, string>>>> = commands;
  return known[manager]?.[deed] ?? `the command of ${manager}`;
}

/**
 * The monitor is asked for what it can be asked for: one is declared, as members and monitor of an
 * environment or of a view say it, and its keepers run every member.
 */
export function isMonitored({
  members,
  monitor,
}: {
  readonly members: readonly Pick<Member, "manager">[];
  readonly monitor?: object | null | undefined;
}): boolean {
  return (
    monitor !== undefined &&
    monitor !== null &&
    members.every((one) => one.manager === "pg_auto_failover")
  );
}

/**
 * Why a cluster of these members must be left to its manager; undefined where it has none. `about`
 * is the member that something was wanted of, where it was one.
 */
export function whyManaged(
  members: readonly { readonly name: string; readonly manager: string }[],
  deed: Deed,
  about?: string,
): string | undefined {
  const all = members.filter(({ manager }) => manager !== "none");
  const managed = all.find(({ name }) => name === about) ?? all[0];
  if (managed === undefined) return undefined;
  const { name, manager } = managed;
  return `${name} is run by ${manager}, which would undo it: use ${managersCommand(manager, deed)}`;
}
