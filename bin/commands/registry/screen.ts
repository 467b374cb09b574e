/** How clusters and nodes of a registry look on a screen: pure, from replies to lines. */
import { ageInWords } from "../../../config/units.ts";
import type {
  ClusterView,
  NodeView,
  RegistryStatus,
  RolesView,
} from "../../../registry/contract.ts";
import { printable } from "../../cli/output.ts";
import type { Output, Style } from "../../cli/output.ts";
import { tableLines } from "../../cli/table.ts";
import type { Cell } from "../../cli/table.ts";

type Screen = Pick<Output, "style" | "columns">;

const outcomePaint: Readonly<Record<RolesView["outcome"], keyof Style>> = {
  published: "good",
  silent: "warn",
  ambiguous: "bad",
  "no-primary": "bad",
  unknown: "dim",
};

const healthPaint: Readonly<Record<NodeView["health"], keyof Style>> = {
  healthy: "good",
  degraded: "warn",
  stale: "warn",
  unknown: "dim",
};

const cell = (text: string): Cell => ({ text: printable(text) });

/** A row for each cluster. */
export function clusterLines(
  clusters: readonly { readonly name: string; readonly roles: RolesView }[],
  { style, columns }: Screen,
): string[] {
  if (clusters.length === 0) return ["no cluster"];
  const rows = clusters.map(({ name, roles }) => [
    cell(name),
    { text: roles.outcome, paint: style[outcomePaint[roles.outcome]] },
    cell(roles.primary ?? "none"),
    cell(roles.standbys.join(", ") || "none"),
    cell(roles.reasons.join("; ")),
  ]);
  const heading = ["cluster", "roles", "primary", "standbys", "why"];
  return tableLines(heading, rows, { columns, dim: style.dim, whole: ["cluster"] });
}

/** A row for each node; `now` in ms since the epoch. */
export function nodeLines(
  nodes: readonly NodeView[],
  generation: number,
  now: number,
  { style, columns }: Screen,
): string[] {
  if (nodes.length === 0) return ["no node"];
  const rows = nodes.map((node) => {
    const behind = generation - node.applied_generation;
    const health = node.revoked ? "revoked" : node.health;
    return [
      cell(String(node.id)),
      cell(node.name),
      { text: health, paint: style[node.revoked ? "dim" : healthPaint[node.health]] },
      cell(String(node.applied_generation)),
      cell(behind > 0 ? String(behind) : "none"),
      cell(agoWords(node.last_sync_at, now)),
      cell(node.address ?? ""),
      cell(node.errors.join("; ")),
    ];
  });
  const heading = ["id", "node", "health", "generation", "behind", "heard", "address", "errors"];
  const right = ["id", "generation", "behind"];
  return tableLines(heading, rows, { columns, dim: style.dim, right, whole: ["node"] });
}

function agoWords(at: string | null, now: number): string {
  if (at === null) return "never";
  return `${ageInWords(Math.max(0, Math.round((now - Date.parse(at)) / 1000)))} ago`;
}

/** A cluster as far as it matters whether it is well. */
export type ClusterFacts = Pick<ClusterView, "name" | "roles" | "members">;

/** What is not well, a sentence each. A cluster without members has nobody to be found. */
export function complaints(all: readonly ClusterFacts[], nodes: readonly NodeView[]): string[] {
  const clusters = all.filter(
    ({ members, roles }) =>
      roles.outcome !== "published" && (roles.outcome !== "unknown" || members.length > 0),
  );
  const ill = nodes.filter((one) => !one.revoked && one.health !== "healthy");
  return [
    ...clusters.map(({ name, roles }) => `${name}: ${roles.reasons[0] ?? roles.outcome}`),
    ...ill.map((one) => `node ${one.name} is ${one.health}`),
  ].map(printable);
}

/** The whole screen of `registry status`; `wrong` is what complaints() says. */
export function statusLines(
  status: RegistryStatus,
  { nodes, wrong }: { readonly nodes: readonly NodeView[]; readonly wrong: readonly string[] },
  now: number,
  screen: Screen,
): string[] {
  const { style } = screen;
  const verdict = wrong.length === 0 ? "all is well" : wrong.join("; ");
  const facts = `zone ${status.zone}, generation ${status.generation}, ${status.records} records, store ${status.store}`;
  return [
    (wrong.length === 0 ? style.good : style.bad)(verdict),
    facts,
    style.dim(`epoch ${status.epoch}, zone hash ${status.zone_hash.slice(0, 16)}`),
    ...(status.reconciles
      ? []
      : ["not this process looks at the roles: another one of this registry does, or none"]),
    "",
    ...clusterLines(status.clusters, screen),
    "",
    ...nodeLines(nodes, status.generation, now, screen),
  ];
}

/** A cluster with its members and its names. */
export function clusterScreen(view: ClusterView, screen: Screen): string[] {
  const { style, columns } = screen;
  const members = view.members.map((one) => [
    cell(String(one.ordinal)),
    cell(one.name),
    cell(roleOf(view.roles, one.name)),
    cell(one.address === null ? "that of its node" : one.address),
    cell(String(one.port)),
    cell(one.node ?? "none"),
  ]);
  const records = view.records.map((one) => [
    cell(one.fqdn),
    cell(one.record_type),
    cell(String(one.ttl)),
    cell([one.target_ip, one.target_port].filter((part) => part !== null).join(" ")),
  ]);
  const memberHeading = ["ordinal", "member", "role", "address", "port", "node"];
  return [
    ...clusterLines([view], screen),
    "",
    `source ${view.source.kind}, generation ${view.generation}`,
    ...view.roles.reasons.map((reason) => `  ${printable(reason)}`),
    "",
    ...tableLines(memberHeading, members, { columns, dim: style.dim, whole: ["member"] }),
    "",
    ...tableLines(["name", "type", "ttl", "points at"], records, {
      columns,
      dim: style.dim,
      whole: ["name"],
    }),
  ];
}

function roleOf({ primary, standbys }: RolesView, name: string): string {
  if (name === primary) return "primary";
  return standbys.includes(name) ? "standby" : "not published";
}
