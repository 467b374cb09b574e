/**
 * Clusters that another manager runs: they are not fought. Whatever we would change, it would undo or
 * already does in its own way, so its own command is named instead. Pure.
 */
import type { Member } from "../../config/schema.ts";

type Manager = Exclude<Member["manager"], "none">;

/** What an operator may want of a cluster that a manager has its own command for. */
export type Deed = "flip" | "failover" | "rebuild" | "fence";

const commands: Readonly<Record<Manager, Readonly<Record<Deed, string>>>> = {
  pg_auto_failover: {
    flip: "pg_autoctl perform switchover",
    failover: "pg_autoctl perform failover",
    rebuild:
      "pg_autoctl node run, which rejoins by itself, or pg_autoctl drop node and create postgres",
    fence: "pg_autoctl enable maintenance",
  },
  patroni: {
    flip: "patronictl switchover",
    failover: "patronictl failover",
    rebuild: "patronictl reinit",
    fence: "patronictl pause, then pg_ctl stop",
  },
  repmgr: {
    flip: "repmgr standby switchover",
    failover: "repmgr standby promote",
    rebuild: "repmgr node rejoin or repmgr standby clone",
    fence: "repmgr service pause, then pg_ctl stop",
  },
};

/** The manager's own command for `deed`; of a manager that nobody here knows, that it has one. */
export function managersCommand(manager: string, deed: Deed): string {
  const known: Readonly<Record<string, Readonly<Record<Deed, string>>>> = commands;
  return known[manager]?.[deed] ?? `the command of ${manager}`;
}

/** Why a cluster of these members must be left to its manager; undefined where it has none. */
export function whyManaged(
  members: readonly { readonly name: string; readonly manager: string }[],
  deed: Deed,
): string | undefined {
  const managed = members.find(({ manager }) => manager !== "none");
  if (managed === undefined) return undefined;
  const { name, manager } = managed;
  return `${name} is run by ${manager}, which would undo it: use ${managersCommand(manager, deed)}`;
}
