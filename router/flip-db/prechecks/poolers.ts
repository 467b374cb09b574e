/** Checks of the poolers: whether they can be asked, are open, and wait longer than a flip lasts. */
import { ageInWords } from "../../../config/units.ts";
import type { Report } from "../../cluster/observation.ts";
import type { PoolerFacts } from "../../pooler/console-replies.ts";
import { need, overAll, UnreadError } from "./facts.ts";
import type { PoolerSettings, PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

interface SeenPooler {
  readonly title: string;
  readonly hasConsole: boolean;
  readonly pooler: Report<PoolerFacts>;
  readonly settings: Report<PoolerSettings> | undefined;
}

type Side = (facts: PrecheckFacts) => readonly SeenPooler[];

const node: Side = ({ view, nodeSettings }) =>
  view.members.map(({ name, declared, pooler }) => ({
    title: `the node pooler of ${name}`,
    hasConsole: declared.pooler.admin !== undefined,
    pooler,
    settings: nodeSettings[name],
  }));

const edge: Side = ({ view, edgeSettings }) =>
  view.edgePoolers.map(({ name, pooler }) => ({
    title: `edge pooler ${name}`,
    hasConsole: true,
    pooler,
    settings: edgeSettings[name],
  }));

function answers(side: Side): Check {
  return (facts) =>
    overAll(side(facts), ({ title, pooler, hasConsole }) => {
      if (pooler.state === "unreachable") return `${title}: ${pooler.error}`;
      return hasConsole ? undefined : `${title} has no admin login in the environment`;
    });
}

function open(side: Side): Check {
  return (facts) =>
    overAll(side(facts), ({ title, pooler, hasConsole }) => {
      const said = need(pooler, title);
      if (!hasConsole || !said.console) throw new UnreadError(`the console of ${title}`);
      const whole = ["paused", "suspended"].includes(said.state)
        ? [`${title} is ${said.state}`]
        : [];
      const databases = said.databases
        .filter((one) => one.paused || one.disabled)
        .map((one) => `${title}: ${one.name} is ${one.paused ? "paused" : "disabled"}`);
      return [...whole, ...databases];
    });
}

/** What every pooler needs to sit out a flip. 0 switches a limit off. */
interface SettingRow {
  readonly name: string;
  readonly isWrong: (seconds: number, facts: PrecheckFacts) => boolean;
  readonly means: (facts: PrecheckFacts) => string;
}

/** A held client waits for the pause, the stop, the promotion and the way there. */
const flipSeconds = 10;
const budget = ({ limits }: PrecheckFacts): number => flipSeconds + limits.holdMs / 1000;
const routerSeconds = ({ limits }: PrecheckFacts): number => limits.routerHoldMs / 1000;

const settingRows: readonly SettingRow[] = [
  {
    name: "server_login_retry",
    isWrong: (seconds) => seconds > 1,
    means: () => "turns clients away for that long after one failed login; 1 or less",
  },
  {
    name: "query_wait_timeout",
    isWrong: (seconds, facts) => seconds > 0 && seconds <= budget(facts),
    means: (facts) => `closes clients that wait longer; more than ${ageInWords(budget(facts))}`,
  },
  {
    name: "query_timeout",
    isWrong: (seconds, facts) => seconds > 0 && seconds <= budget(facts),
    means: (facts) => `closes clients that wait longer; more than ${ageInWords(budget(facts))}`,
  },
  {
    name: "client_login_timeout",
    isWrong: (seconds, facts) => seconds > 0 && seconds <= budget(facts),
    means: (facts) => `turns new clients away; more than ${ageInWords(budget(facts))}`,
  },
  {
    name: "server_connect_timeout",
    isWrong: (seconds, facts) => seconds > 0 && seconds <= routerSeconds(facts),
    means: (facts) =>
      `gives up while a router still holds it; more than ${ageInWords(routerSeconds(facts))}`,
  },
];

/** What only counts before a router. */
const edgeOnly = ["query_wait_timeout", "query_timeout", "server_connect_timeout"];

function settings(side: Side, rows: readonly SettingRow[]): Check {
  return (facts) =>
    overAll(side(facts), (one) => {
      const said = need(one.settings, one.title);
      return rows.flatMap(({ name, isWrong, means }) => {
        const value = said[name];
        // query_timeout and others are everywhere from 1.18 on; what is absent cannot bite.
        if (value === undefined || !isWrong(Number(value), facts)) return [];
        return [`${one.title}: ${name} is ${value} s, which ${means(facts)}`];
      });
    });
}

export const nodeAnswers = answers(node);
export const nodeOpen = open(node);
export const nodeSettings = settings(
  node,
  settingRows.filter((row) => !edgeOnly.includes(row.name)),
);
export const edgeAnswers = answers(edge);
export const edgeOpen = open(edge);
export const edgeSettings = settings(edge, settingRows);
