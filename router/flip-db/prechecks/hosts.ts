/** Checks of what only a member's own host can tell: the way back, the disk, the programs. */
import { sizeInWords } from "../../../config/units.ts";
import { endOf, moreOf, need, overAll, UnreadError } from "./facts.ts";
import type { HostLook, PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

function hostOf(facts: PrecheckFacts, end: "from" | "to"): HostLook {
  const { name } = endOf(facts, end);
  return need(facts.hosts[name], `the host of ${name}`);
}

/** The old primary can stream from the standby, with its own login, from its own host, now. */
export const reverse: Check = (facts) => {
  const [from, to] = [endOf(facts, "from"), endOf(facts, "to")];
  const { reverse: said } = hostOf(facts, "from");
  if (said === null) throw new UnreadError(`whether ${from.name} can stream from ${to.name}`);
  if (said.state === "unreachable") {
    return `${from.name} cannot open a replication connection to ${to.name}: ${said.error}`;
  }
  return said.value === to.facts.systemIdentifier
    ? undefined
    : `primary_conninfo of ${from.name} leads to cluster ${said.value}, not to ${to.name}`;
};

/** A copy is made beside the old data: it needs the room of both. */
export const diskSpace: Check = (facts) =>
  overAll(["from", "to"] as const, (end) => {
    const { freeBytes } = hostOf(facts, end);
    if (freeBytes === null) throw new UnreadError(`free disk space of ${facts[end]}`);
    const { dataBytes } = moreOf(facts, "from");
    return freeBytes < dataBytes
      ? `${sizeInWords(freeBytes)} are free on ${facts[end]}, its data has ${sizeInWords(dataBytes)}`
      : undefined;
  });

/** As much as the rest of a promotion takes. */
const slowRestoreMs = 100;

export const slowRestore: Check = (facts) => {
  if (moreOf(facts, "to").restoreCommand === "" && moreOf(facts, "to").superuser) return undefined;
  const { restoreMs } = hostOf(facts, "to");
  if (restoreMs === null) throw new UnreadError(`how long restore_command of ${facts.to} takes`);
  return restoreMs > slowRestoreMs
    ? `restore_command of ${facts.to} takes ${restoreMs} ms to say that a file is not there`
    : undefined;
};

export const programs: Check = (facts) =>
  overAll(["from", "to"] as const, (end) => {
    const { missingPrograms } = hostOf(facts, end);
    return missingPrograms.length === 0
      ? undefined
      : `${facts[end]} has no ${missingPrograms.join(", no ")}`;
  });
