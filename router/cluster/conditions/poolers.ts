/** Conditions about the node poolers beside the members and the edge poolers before the routers. */
import type { PoolerFacts } from "../../pooler/console-replies.ts";
import { valueOf } from "../view.ts";
import type { ClusterView } from "../view.ts";
import type { Report } from "../observation.ts";
import type { Condition } from "./condition.ts";
import { isHeldByGate } from "./gates.ts";

interface SeenPooler {
  readonly name: string;
  readonly pooler: Report<PoolerFacts>;
}

type Side = (view: ClusterView) => readonly SeenPooler[];
const node: Side = (view) => view.members;
const edge: Side = (view) => view.edgePoolers;

function down(side: Side): Condition {
  return (view) =>
    side(view).flatMap(({ name, pooler }) =>
      pooler.state === "known" ? [] : [{ part: name, says: pooler.error }],
    );
}

/** `isMeant` holds for a database whose pause is reported elsewhere. */
function paused(
  side: Side,
  isMeant: (view: ClusterView, name: string, database: string) => boolean,
): Condition {
  return (view) =>
    side(view).flatMap(({ name, pooler }) => {
      const facts = valueOf(pooler);
      if (facts === null || !facts.console) return [];
      const whole =
        facts.state === "paused" || facts.state === "suspended"
          ? [`PgBouncer as a whole is ${facts.state}`]
          : [];
      const databases = facts.databases
        .filter((one) => one.disabled || (one.paused && !isMeant(view, name, one.name)))
        .map((one) => `database ${one.name} is ${one.paused ? "paused" : "disabled"}`);
      return [...whole, ...databases].map((says) => ({ part: name, says }));
    });
}

/** Longer than a planned flip or a reload may hold a client. */
const waitLimitMs = 5000;

function clientsWait(side: Side): Condition {
  return (view) =>
    side(view).flatMap(({ name, pooler }) => {
      const facts = valueOf(pooler);
      if (facts === null || !facts.console) return [];
      return facts.pools
        .filter((one) => one.clientsWaiting > 0 && one.maxWaitMs > waitLimitMs)
        .map((one) => ({
          part: name,
          says: `${one.clientsWaiting} clients of ${one.user} on ${one.database} wait for a server, the first for ${Math.round(one.maxWaitMs / 1000)} s; it has ${one.servers}${one.servers === 0 ? ", so it may be paused" : ""}`,
        }));
    });
}

export const poolerDown = down(node);
export const poolerPaused = paused(node, () => false);
export const poolerClientsWait = clientsWait(node);
export const edgePoolerDown = down(edge);
export const edgePoolerPaused = paused(edge, (view, name, database) =>
  view.edgePoolers.some((one) => one.name === name && isHeldByGate(one, database)),
);
export const edgePoolerClientsWait = clientsWait(edge);

/** A node pooler leads to another member's Postgres. */
export const poolerPointsElsewhere: Condition = (view) =>
  view.members.flatMap(({ name, pooler }) => {
    const facts = valueOf(pooler);
    if (facts === null || !facts.console) return [];
    return facts.databases.flatMap((database) => {
      const target = view.members.find(
        ({ declared }) =>
          declared.postgres.host === database.host && declared.postgres.port === database.port,
      );
      if (target === undefined || target.name === name) return [];
      return [{ part: name, says: `its database ${database.name} leads to ${target.name}` }];
    });
  });

/** An edge pooler pools otherwise than the environment says. */
export const edgePoolerMode: Condition = (view) =>
  view.edgePoolers.flatMap(({ name, declared, pooler }) => {
    const facts = valueOf(pooler);
    if (facts === null || !facts.console) return [];
    const wrong = facts.pools.find(
      (one) => declared.databases.includes(one.database) && one.mode !== declared.poolMode,
    );
    if (wrong === undefined) return [];
    const says = `database ${wrong.database} is pooled by ${wrong.mode}, declared by ${declared.poolMode}`;
    return [{ part: name, says }];
  });
