/** Checks of who the members are, who takes writes, and whether the flip may act on them at all. */
import { managersCommand } from "../../cluster/managers.ts";
import { fold, unfinished as findUnfinished } from "../../operation/records.ts";
import { endOf, listed, moreOf, need, overAll, UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

/** Exactly one member is known to take writes, and nobody is unknown. */
export const oneWriter: Check = ({ view }) => {
  const silent = view.members.filter((one) => one.writable === null);
  if (view.writable.length > 1) return `${view.writable.join(" and ")} take writes`;
  if (silent.length > 0) {
    throw new UnreadError(`whether these take writes: ${listed(silent.map((one) => one.name))}`);
  }
  return view.writable.length === 0 ? "no member takes writes" : undefined;
};

/** The flip has a target, and it is a standby. */
export const target: Check = (facts) => {
  const { view, from, to } = facts;
  const standbys = view.members.filter((one) => one.name !== from).map((one) => one.name);
  if (to === null && standbys.length !== 1) return `say which: --to ${standbys.join(" or --to ")}`;
  if (to !== null && to === from) return `${to} is the primary already`;
  if (to !== null && !view.members.some((one) => one.name === to))
    return `there is no member ${to}`;
  const end = endOf(facts, "to");
  return end.facts.role === "standby" ? undefined : `${end.name} is no standby`;
};

/** Both are one cluster, and each address leads to the Postgres that it should. */
export const identity: Check = (facts) => {
  const [from, to] = [endOf(facts, "from"), endOf(facts, "to")];
  if (from.facts.systemIdentifier !== to.facts.systemIdentifier) {
    return `${from.name} is of cluster ${from.facts.systemIdentifier}, ${to.name} of ${to.facts.systemIdentifier}`;
  }
  return overAll([from, to], ({ name, facts: said }) => {
    if (!(name in facts.hosts)) return undefined;
    const host = need(facts.hosts[name], `the host of ${name}`).systemIdentifier;
    if (host === null) throw new UnreadError(`the control file of ${name} was not read`);
    return host === said.systemIdentifier
      ? undefined
      : `the data directory on the host of ${name} is of cluster ${host}, its Postgres of ${said.systemIdentifier}`;
  });
};

/** Each node pooler leads to its own Postgres. */
export const poolerTargets: Check = ({ view }) =>
  overAll(view.members, ({ name, declared, pooler }) => {
    if (declared.pooler.admin === undefined) return undefined;
    const said = need(pooler, `the node pooler of ${name}`);
    if (!said.console) throw new UnreadError(`the console of the node pooler of ${name}`);
    return said.databases.flatMap((database) => {
      const other = view.members.find(
        (one) =>
          one.name !== name &&
          one.declared.postgres.host === database.host &&
          one.declared.postgres.port === database.port,
      );
      return other === undefined
        ? []
        : [`database ${database.name} of the node pooler of ${name} leads to ${other.name}`];
    });
  });

export const twoMembers: Check = ({ view }) =>
  view.members.length === 2 ? undefined : `there are ${view.members.length} members`;

/** Nobody else decides who takes writes. */
export const manager: Check = ({ view }) =>
  overAll(view.members, ({ name, declared, postgres }) => {
    const seen = declared.manager === "none" ? need(postgres, `Postgres of ${name}`).managers : [];
    const managers = declared.manager === "none" ? seen : [declared.manager];
    return managers.map((one) => `${one} runs ${name}: ${managersCommand(one, "flip")}`);
  });

/** Both hosts can be reached and are described. */
export const control: Check = (facts) =>
  overAll(["from", "to"] as const, (end) => {
    const name = facts[end];
    const member = facts.view.members.find((one) => one.name === name);
    if (name === null || member === undefined) throw new UnreadError("the ends are not known");
    if (member.declared.control === undefined) return `${name} has no control in the environment`;
    need(facts.hosts[name], `the host of ${name}`);
    return undefined;
  });

export const superuser: Check = (facts) =>
  overAll(["from", "to"] as const, (end) =>
    moreOf(facts, end).superuser ? undefined : `the login on ${facts[end]} is no superuser`,
  );

/** The routers' own checks will agree only where pg-health answers. */
export const health: Check = (facts) =>
  overAll(["from", "to"] as const, (end) => {
    const { name, view, facts: said } = endOf(facts, end);
    const { answer } = need(view.health, `pg-health of ${name}`);
    return answer === said.role
      ? undefined
      : `pg-health of ${name} answers ${answer}, its Postgres is ${said.role}`;
  });

/** A new primary that refuses writes is none. */
export const readOnly: Check = (facts) => {
  const { name, facts: said } = endOf(facts, "to");
  return said.readOnly ? `default_transaction_read_only is on at ${name}` : undefined;
};

/** What an earlier operation began is ended first. */
export const unfinished: Check = (facts) => {
  const ends = [moreOf(facts, "from"), moreOf(facts, "to")];
  const records = ends.flatMap((one) => one.records ?? []);
  const open = findUnfinished(fold([...facts.localRecords, ...records]));
  if (open !== undefined) return `${open.operationId} is unfinished`;
  if (ends.some((one) => one.records === null)) throw new UnreadError("the cluster's journal");
  return undefined;
};

/** Nobody else changes the cluster. */
export const otherOperation: Check = (facts) =>
  overAll(["from", "to"] as const, (end) => {
    const held = moreOf(facts, end).lockHolder;
    return held === null
      ? undefined
      : `${held.holder} holds the lock on ${facts[end]} since ${held.since} for ${held.why}`;
  });

/** An armed primary comes up read-only at its next restart. */
export const armed: Check = (facts) => {
  const { name, facts: said } = endOf(facts, "from");
  if (said.armed === null) throw new UnreadError(`whether ${name} is armed`);
  return said.armed ? `${name} has a standby.signal` : undefined;
};
