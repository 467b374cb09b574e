/** The one screen of topology: pure, from what is known to lines of at most 100 columns. */
import { formatLsn } from "../../kit/lsn.ts";
import type { Finding } from "../../router/cluster/findings.ts";
import type { Report, RouterServer } from "../../router/cluster/observation.ts";
import { ageInWords, sizeInWords } from "../../router/cluster/conditions/condition.ts";
import type { Topology } from "../../router/cluster/observe.ts";
import type { VerdictLevel } from "../../router/cluster/verdict.ts";
import { valueOf } from "../../router/cluster/view.ts";
import type { ClusterView, MemberView, RouterView } from "../../router/cluster/view.ts";
import type { PoolerFacts, PoolerPool } from "../../router/pooler/console-replies.ts";
import type { Style } from "../cli/output.ts";
import { paragraph, tableLines } from "./topology-table.ts";
import type { Cell } from "./topology-table.ts";

export interface ScreenOptions {
  readonly columns: number;
  readonly style: Style;
}

const widest = 100;
const narrowest = 60;
/** Reasons beyond these stand further down, with the findings. */
const reasonsShown = 5;

type Paint = keyof Style;

const paintOfLevel: Readonly<Record<VerdictLevel, Paint>> = {
  healthy: "good",
  degraded: "warn",
  unsafe: "bad",
  unreachable: "bad",
};

const paintOfSeverity: Readonly<Record<Finding["severity"], Paint>> = {
  unsafe: "bad",
  degraded: "warn",
  note: "dim",
};

/** The lines of the screen; the verdict and its reasons come first. */
export function topologyScreen(topology: Topology, options: ScreenOptions): string[] {
  const columns = Math.max(narrowest, Math.min(widest, options.columns));
  const { style } = options;
  const { view } = topology;
  const table = { columns, dim: style.dim };
  const sections = [
    verdictLines(topology, columns, style),
    tableLines(
      memberHeading,
      view.members.map((one) => memberRow(one, style)),
      table,
    ),
    ...(view.routers.length === 0
      ? []
      : [
          tableLines(
            routerHeading,
            view.routers.flatMap((one) => routerRows(one, style)),
            table,
          ),
        ]),
    ...(view.edgePoolers.length === 0
      ? []
      : [
          tableLines(
            edgeHeading,
            view.edgePoolers.map((one) => edgeRow(one, style)),
            table,
          ),
        ]),
    ...findingBlocks(topology.findings, columns, style),
  ];
  return sections.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function verdictLines({ view, verdict }: Topology, columns: number, style: Style): string[] {
  const word = verdict.level.toUpperCase();
  const [first = "", ...rest] = paragraph(`${word}  `, verdict.summary, columns);
  const painted = first.replace(word, style[paintOfLevel[verdict.level]](style.bold(word)));
  const when = view.observedAt.replace("T", " ").replace(/\.[0-9]+Z$/, " UTC");
  const where = `${view.environment}, cluster ${view.cluster}, at ${when}, looked for ${view.tookMs} ms`;
  const shown = verdict.reasons.slice(0, reasonsShown);
  const left = verdict.reasons.length - shown.length;
  return [
    painted,
    ...rest,
    ...shown.flatMap((one) => paragraph("  - ", one, columns)),
    ...(left > 0 ? [`  - and ${left} more, see below`] : []),
    ...paragraph("", where, columns).map((line) => style.dim(line)),
  ];
}

const unknown = (style: Style): Cell => ({ text: "unknown", paint: style.bad });

const memberHeading = [
  "MEMBER",
  "ROLE",
  "TL",
  "LSN",
  "LAG",
  "STREAM",
  "POSTGRES",
  "HEALTH",
  "POOLER",
];

function memberRow(member: MemberView, style: Style): Cell[] {
  const facts = valueOf(member.postgres);
  const health = valueOf(member.health);
  const lsn = facts?.writeLsn ?? facts?.replayLsn ?? null;
  const name = { text: member.name, paint: style.bold };
  if (facts === null) {
    const role =
      member.role === "unknown" ? unknown(style) : { text: `${member.role}?`, paint: style.warn };
    return [
      name,
      role,
      ...["-", "-", "-", "-"].map((text) => ({ text })),
      { text: "unreachable", paint: style.bad },
      healthCell(health, style),
      poolerCell(member.pooler, style),
    ];
  }
  return [
    name,
    {
      text: roleText(member, facts.armed === true),
      paint: member.role === "primary" ? style.good : undefined,
    },
    { text: String(facts.timeline) },
    { text: lsn === null ? "-" : formatLsn(lsn) },
    { text: lagText(member) },
    streamCell(member, style),
    { text: facts.version },
    healthCell(health, style),
    poolerCell(member.pooler, style),
  ].map(dropPaint);
}

type LooseCell = { readonly text: string; readonly paint?: ((text: string) => string) | undefined };

function dropPaint({ text, paint }: LooseCell): Cell {
  return paint === undefined ? { text } : { text, paint };
}

function roleText(member: MemberView, isArmed: boolean): string {
  if (isArmed) return "primary, armed";
  return member.role === "primary" && member.writable === false
    ? "primary, read-only"
    : member.role;
}

function lagText({ lagBytes, lagMs }: MemberView): string {
  if (lagBytes === null) return "-";
  const ms = lagMs === null || lagMs < 1000 ? "" : `, ${ageInWords(lagMs / 1000)}`;
  return sizeInWords(lagBytes) + ms;
}

function streamCell(member: MemberView, style: Style): LooseCell {
  const facts = valueOf(member.postgres);
  if (facts === null || facts.role === "primary") {
    return { text: facts === null ? "-" : `${facts.senders.length} out` };
  }
  const status = facts.receiver?.status ?? "none";
  const from = member.upstream === null ? "" : ` from ${member.upstream}`;
  return {
    text: status === "streaming" ? `in${from}` : status,
    paint: status === "streaming" ? undefined : style.warn,
  };
}

function healthCell(
  health: ReturnType<typeof valueOf<{ answer: string; slow: boolean }>>,
  style: Style,
): Cell {
  if (health === null) return { text: "unreachable", paint: style.bad };
  const text = health.slow ? `${health.answer} (slow)` : health.answer;
  return ["primary", "standby"].includes(text) ? { text } : { text, paint: style.warn };
}

function poolerCell(report: Report<PoolerFacts>, style: Style): Cell {
  const facts = valueOf(report);
  if (facts === null) return { text: "down", paint: style.bad };
  if (!facts.console) return { text: "port open" };
  const paused = facts.databases.some((one) => one.paused || one.disabled);
  if (paused || !["active", "unknown"].includes(facts.state))
    return { text: "paused", paint: style.warn };
  return { text: "ok" };
}

const routerHeading = [
  "ROUTER",
  "MEMBER",
  "WRITES",
  "READS",
  "LAST CHECK",
  "SINCE",
  "SESSIONS",
  "CONFIGURATION",
];

function routerRows(router: RouterView, style: Style): Cell[][] {
  const name = { text: router.name, paint: style.bold };
  const drift = valueOf(router.configuration);
  const configuration: Cell =
    drift === null
      ? { text: "not read", paint: style.dim }
      : drift.drifted
        ? { text: "drifted", paint: style.warn }
        : { text: "as declared" };
  if (router.runtime.state === "unreachable") {
    return [
      [name, unknown(style), ...["-", "-", "-", "-", "-"].map((text) => ({ text })), configuration],
    ];
  }
  return router.write.map((server, index) => {
    const read = router.read.find((one) => one.server === server.server);
    return [
      index === 0 ? name : { text: "" },
      { text: server.server },
      statusCell(server, style),
      read === undefined ? { text: "-" } : statusCell(read, style),
      { text: server.check },
      { text: ageInWords(server.sinceS) },
      { text: String(server.sessions + (read?.sessions ?? 0)) },
      index === 0 ? configuration : { text: "" },
    ];
  });
}

function statusCell({ status, state, forced }: RouterServer, style: Style): Cell {
  if (forced.length > 0) return { text: status, paint: style.warn };
  return state === "up" ? { text: status, paint: style.good } : { text: status, paint: style.dim };
}

const edgeHeading = [
  "EDGE POOLER",
  "STATE",
  "POOLED BY",
  "CLIENTS",
  "WAITING",
  "SERVERS",
  "PGBOUNCER",
];

function edgeRow(
  { name, declared, pooler }: ClusterView["edgePoolers"][number],
  style: Style,
): Cell[] {
  const facts = valueOf(pooler);
  const head = [
    { text: name, paint: style.bold },
    poolerCell(pooler, style),
    { text: declared.poolMode },
  ];
  if (facts === null || !facts.console)
    return [...head, ...["-", "-", "-", "-"].map((text) => ({ text }))];
  const { pools } = facts;
  const sum = (count: (pool: PoolerPool) => number): Cell => ({
    text: String(pools.reduce((total, pool) => total + count(pool), 0)),
  });
  return [
    ...head,
    sum((pool) => pool.clientsActive),
    sum((pool) => pool.clientsWaiting),
    sum((pool) => pool.servers),
    { text: facts.version },
  ];
}

/** One block for each code: what was seen where, what it means, what to do. */
function findingBlocks(findings: readonly Finding[], columns: number, style: Style): string[][] {
  const codes = [...new Set(findings.map((one) => one.code))];
  return codes.map((code) => {
    const group = findings.filter((one) => one.code === code);
    const [{ severity, means } = { severity: "note", means: "" } as const] = group;
    const todos = [...new Set(group.map((one) => one.todo))];
    return [
      `${style[paintOfSeverity[severity]](severity)}  ${style.bold(code)}`,
      ...group.flatMap((one) => paragraph("  - ", `${one.part}: ${one.says}`, columns)),
      ...paragraph("    means: ", means, columns),
      ...todos.flatMap((todo) => paragraph("    do:    ", todo, columns)),
    ];
  });
}
