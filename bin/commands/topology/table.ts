/** The tables of the topology screen: a line for each member, each server of a router, each edge pooler. */
import { ageInWords, sizeInWords } from "../../../config/units.ts";
import { formatLsn } from "../../../kit/lsn.ts";
import type { Report, RouterServer } from "../../../router/cluster/observation.ts";
import { valueOf } from "../../../router/cluster/view.ts";
import type { ClusterView, MemberView, RouterView } from "../../../router/cluster/view.ts";
import type { PoolerFacts, PoolerPool } from "../../../router/pooler/console-replies.ts";
import type { Style } from "../../cli/output.ts";
import { tableLines } from "../../cli/table.ts";
import type { Cell } from "../../cli/table.ts";
import { monitorHeading, monitorRows, namesHeading, namesRows } from "./names-table.ts";

/** The tables that have rows, each at most `columns` wide. */
export function topologyTables(view: ClusterView, columns: number, style: Style): string[][] {
  const tables: readonly (readonly [readonly string[], readonly (readonly Cell[])[]])[] = [
    [memberHeading, view.members.map((one) => memberRow(one, style))],
    [routerHeading, view.routers.flatMap((one) => routerRows(one, style))],
    [edgeHeading, view.edgePoolers.map((one) => edgeRow(one, style))],
    [namesHeading(view), namesRows(view, style)],
    [monitorHeading, monitorRows(view, style)],
  ];
  return tables
    .filter(([, rows]) => rows.length > 0)
    .map(([heading, rows]) => tableLines(heading, rows, { columns, dim: style.dim }));
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
  "GATE",
];

function edgeRow(
  { name, declared, pooler, gate }: ClusterView["edgePoolers"][number],
  style: Style,
): Cell[] {
  const last = gateCell(gate, style);
  const facts = valueOf(pooler);
  const head = [
    { text: name, paint: style.bold },
    poolerCell(pooler, style),
    { text: declared.poolMode },
  ];
  if (facts === null || !facts.console)
    return [...head, ...["-", "-", "-", "-"].map((text) => ({ text })), last];
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
    last,
  ];
}

function gateCell(gate: ClusterView["edgePoolers"][number]["gate"], style: Style): Cell {
  if (gate === null) return { text: "none", paint: style.dim };
  const state = valueOf(gate)?.state ?? "unreachable";
  if (state === "open") return { text: state };
  return { text: state, paint: state === "unreachable" ? style.bad : style.warn };
}
