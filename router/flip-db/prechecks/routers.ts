/** Checks of the routers: all of them are told at once, so all of them must listen and agree. */
import { haproxyNames } from "../../haproxy/model.ts";
import { whyRouterCutOff } from "./cut-off.ts";
import { need, overAll, UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

export const routersAnswer: Check = ({ view }) => overAll(view.routers, whyRouterCutOff);

/** Every router leads to the primary alone, and nothing is forced on it by hand. */
export const routerState: Check = (facts) =>
  overAll(facts.view.routers, ({ name, runtime, write, sendsWritesTo }) => {
    const { closedFrontends } = need(runtime, `router ${name}`);
    if (facts.from === null) throw new UnreadError("it is not known who takes writes");
    const leads = sendsWritesTo.length === 1 && sendsWritesTo[0] === facts.from;
    const ends = [facts.from, facts.to].filter((one) => one !== null);
    const absent = ends.filter((end) => !write.some((one) => one.server === end));
    const forced = write.flatMap((one) => one.forced.map((what) => `${one.server} ${what}`));
    const closed = closedFrontends.includes(haproxyNames.write);
    return [
      ...(leads ? [] : [`${name} sends writes to ${sendsWritesTo.join(" and ") || "nobody"}`]),
      ...absent.map((end) => `${name} has no server ${end}`),
      ...forced.map((what) => `${name}: ${what} by hand`),
      ...(closed ? [`${name} takes no writes: its frontend is closed`] : []),
    ];
  });

/** A fence outlives a reload: the new primary would get no connections. */
export const fenced: Check = ({ view, from, to }) =>
  overAll(view.routers, ({ name, configuration }) => {
    const marks = need(configuration, `the configuration of ${name}`).fenced;
    return marks
      .filter((one) => one.member === from || one.member === to)
      .map((one) => `${one.member} is fenced on ${name}`);
  });

/** A worker that a reload left behind checks nothing and hears nothing: its sessions stay. */
export const oldWorkers: Check = ({ view }) =>
  overAll(view.routers, ({ name, declared, runtime }) => {
    const said = need(runtime, `router ${name}`);
    if (said.masterError !== null)
      throw new UnreadError(`old workers of ${name}: ${said.masterError}`);
    if (said.oldWorkers === null) {
      const why = declared.master === undefined ? "no master socket is declared" : "not read";
      throw new UnreadError(`old workers of ${name}: ${why}`);
    }
    return said.oldWorkers.flatMap(({ pid, writing }) =>
      writing.map(
        ({ server, sessions }) =>
          `${sessions} sessions with ${server} are on the old worker ${pid} of ${name}`,
      ),
    );
  });

/** A reload during or after the flip would bring another configuration. */
export const drift: Check = ({ view }) =>
  overAll(view.routers, ({ name, configuration }) => {
    const { drifted, firstDifference } = need(configuration, `the configuration of ${name}`);
    return drifted ? `the file of ${name} differs: ${firstDifference}` : undefined;
  });

export const versions: Check = ({ view }) => {
  const found = view.routers.map(({ name, runtime }) => ({
    name,
    version: need(runtime, `router ${name}`).version,
  }));
  if (new Set(found.map((one) => one.version)).size < 2) return undefined;
  return found.map(({ name, version }) => `${name} is ${version}`).join(", ");
};

export const noRouters: Check = ({ view }) =>
  view.routers.length > 0 ? undefined : "no router is declared: nothing leads clients over";
