/** Conditions about the routers: what they send where, and what was done to them by hand. */
import { isIpAddress } from "../../../config/values.ts";
import { formatAddress } from "../../../kit/address.ts";
import { ageInWords } from "../../../config/units.ts";
import { haproxyNames } from "../../haproxy/model.ts";
import { formatServerName } from "../../haproxy/runtime/servers.ts";
import type { RouterServer } from "../observation.ts";
import { valueOf } from "../view.ts";
import type { ClusterView, RouterView } from "../view.ts";
import type { Condition, Occurrence } from "./condition.ts";

function eachRouter(look: (router: RouterView, view: ClusterView) => readonly string[]): Condition {
  return (view) =>
    view.routers.flatMap((router): Occurrence[] => {
      if (router.runtime.state === "unreachable") return [];
      return look(router, view).map((says) => ({ part: router.name, says }));
    });
}

/** A router whose Runtime API does not answer. */
export const routerUnreachable: Condition = (view) =>
  view.routers.flatMap(({ name, runtime }) =>
    runtime.state === "known" ? [] : [{ part: name, says: runtime.error }],
  );

/**
 * True when the split-brain guard is known to turn new clients away: it stands in the rendered
 * configuration, and the router runs that one.
 */
function guardRefuses(router: RouterView): boolean {
  return router.sendsWritesTo.length > 1 && valueOf(router.configuration)?.drifted === false;
}

/** Writes go to a member that is known not to be the primary. */
export const routerMisroutes: Condition = eachRouter((router, view) =>
  router.write.flatMap(({ server, state, sessions }) => {
    const role = view.members.find((one) => one.name === server)?.role;
    const sends = state === "up" && (sessions > 0 || !guardRefuses(router));
    return role === "standby" && sends ? [`it sends writes to ${server}, which is a standby`] : [];
  }),
);

/** More than one member passes for primary, so the guard turns every new client away. */
export const routerGuardClosed: Condition = eachRouter((router) =>
  guardRefuses(router)
    ? [
        `${router.sendsWritesTo.join(" and ")} both pass for primary: it refuses new clients, and ${openSessions(router)} are still open`,
      ]
    : [],
);

function openSessions(router: RouterView): string {
  const count = router.write.reduce((sum, one) => sum + one.sessions, 0);
  return `${count} ${count === 1 ? "session" : "sessions"}`;
}

/** A router does not see what the members say of themselves. */
export const routerDisagrees: Condition = eachRouter((router, view) => [
  ...writeDisagreements(router, view),
  ...readDisagreements(router, view),
]);

function writeDisagreements(router: RouterView, view: ClusterView): readonly string[] {
  const [primary, ...others] = view.writable;
  if (primary === undefined || others.length > 0) return [];
  const server = router.write.find((one) => one.server === primary);
  const down =
    server === undefined || server.state === "up"
      ? []
      : [`${primary} takes writes, but is ${server.status} here (${server.check})`];
  const strangers = router.sendsWritesTo.filter(
    (name) => name !== primary && view.members.find((one) => one.name === name)?.role === "unknown",
  );
  return [
    ...down,
    ...strangers.map((name) => `it passes writes to ${name}, of which nothing is known`),
  ];
}

function readDisagreements(router: RouterView, view: ClusterView): readonly string[] {
  return view.members.flatMap((member) => {
    const streams = valueOf(member.postgres)?.receiver?.status === "streaming";
    const near = member.lagBytes !== null && member.lagBytes <= view.readLagBytes;
    const server = router.read.find((one) => one.server === member.name);
    if (member.role !== "standby" || !streams || !near || server?.state !== "down") return [];
    return [
      `${member.name} streams and is near, but is ${server.status} for reads (${server.check})`,
    ];
  });
}

/** The file or the running worker differs from what the environment says. */
export const routerConfigDrift: Condition = (view) =>
  view.routers.flatMap((router) => {
    const drift = valueOf(router.configuration);
    const file =
      drift?.drifted === true
        ? [`${router.declared.configuration.path} differs: ${drift.firstDifference}`]
        : [];
    const says = [...file, ...runningDrift(router, view)];
    return says.map((one) => ({ part: router.name, says: one }));
  });

function runningDrift(router: RouterView, view: ClusterView): readonly string[] {
  if (router.runtime.state === "unreachable") return [];
  return view.members.flatMap(({ name, declared }) => {
    const server = router.write.find((one) => one.server === name);
    if (server === undefined) {
      const missing = formatServerName({ backend: haproxyNames.write, server: name });
      return [`the running worker has no ${missing}`];
    }
    // The containers of one host find each other by name.
    const isLocal = declared.host !== undefined && declared.host === router.declared.host;
    const address = (isLocal ? declared.local?.pooler : undefined) ?? declared.pooler.address;
    // A member by name has the address that the resolver gave it.
    const sameHost = !isIpAddress(address.host) || server.address === address.host;
    if (sameHost && server.port === address.port) return [];
    const found = formatAddress({ host: server.address, port: server.port });
    return [`the running worker has ${name} at ${found}, not ${formatAddress(address)}`];
  });
}

/** The file on the router could not be compared. */
export const routerConfigUnread: Condition = (view) =>
  view.routers.flatMap(({ name, configuration }) =>
    // An error about the file names the router itself.
    configuration.state === "known"
      ? []
      : [{ part: name, says: configuration.error.replace(`${name}: `, "") }],
  );

/** Somebody overrode what the checks say. */
export const serverForced: Condition = eachRouter((router) =>
  (valueOf(router.runtime)?.servers ?? [])
    .filter((one) => one.forced.length > 0 && !isFenced(router, one))
    .map((one) => `${formatServerName(one)} is forced: ${one.forced.join(", ")}`),
);

/** What a fence did to a server of its member is reported as the fence. */
function isFenced(router: RouterView, { server, forced }: RouterServer): boolean {
  const marks = valueOf(router.configuration)?.fenced ?? [];
  return marks.some((one) => one.member === server) && forced.every((one) => one === "maint");
}

/** Sessions that no check and no flip reaches. */
export const oldWorkerSessions: Condition = eachRouter((router) =>
  (valueOf(router.runtime)?.oldWorkers ?? [])
    .filter((one) => one.sessions !== 0)
    .map(
      (one) =>
        `worker ${one.pid}, ${ageInWords(one.uptimeS)} old, still has ${one.sessions} sessions`,
    ),
);

/** Write sessions in an old worker on a member that is not the primary: no check ends them. */
export const oldWorkerMisroutes: Condition = eachRouter((router, view) =>
  (valueOf(router.runtime)?.oldWorkers ?? []).flatMap(({ pid, writing }) =>
    writing.flatMap(({ server, sessions }) => {
      const member = view.members.find((one) => one.name === server);
      const isWrong =
        view.primary !== null && server !== view.primary.name && member?.role !== "unknown";
      return isWrong && member !== undefined
        ? [`worker ${pid} keeps ${sessions} write sessions on ${server}, which is not the primary`]
        : [];
    }),
  ),
);

/** Sessions that should have ended when their member went down (docs/router.md, G6). */
export const sessionsOnDownServer: Condition = eachRouter((router) =>
  router.write
    .filter((one) => one.state === "down" && one.sessions > 0)
    .map(({ server, status, sessions }) => {
      const stay = sessions === 1 ? "1 session stays" : `${sessions} sessions stay`;
      return `${stay} on ${server}, which is ${status} here`;
    }),
);

/** Old workers cannot be seen, and a reload cannot be followed. */
export const routerMasterUnreachable: Condition = eachRouter((router) => {
  const why = valueOf(router.runtime)?.masterError ?? null;
  return why === null ? [] : [why];
});

/** A listener takes no connections. */
export const frontendClosed: Condition = eachRouter((router) =>
  (valueOf(router.runtime)?.closedFrontends ?? []).map((one) => `${one} takes no connections`),
);

/** Clients wait for a server. */
export const clientsQueued: Condition = eachRouter((router) =>
  Object.entries(valueOf(router.runtime)?.queued ?? {})
    .filter(([, count]) => count > 0)
    .map(([backend, count]) => `${count} clients wait in the queue of ${backend}`),
);
