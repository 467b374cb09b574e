/**
 * Checks of what moves the names of the cluster, and of the monitor, where one runs it: whether they
 * can do their part in a flip.
 */
import type { NamesObservation } from "../../cluster/observation.ts";
import { whyNotPromote } from "../../monitor/nodes.ts";
import { isAlive, othersAddress } from "../../names/said.ts";
import type { RegistrySaid } from "../../names/said.ts";
import { need, overAll, UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

/** The names would stay on the old primary, or lead elsewhere. */
export const registry: Check = (facts) => {
  const { names } = facts.view;
  if (names === null) return undefined;
  const { state, address } = names.registry;
  if (state === "unreachable") return `the registry at ${address}: ${names.registry.error}`;
  const said = names.registry.value;
  return said.kind === "cluster" ? whyNotFollow(said, facts) : said.says;
};

type ClusterSaid = Extract<RegistrySaid, { kind: "cluster" }>;

function whyNotFollow(said: ClusterSaid, { to, view }: PrecheckFacts): string | undefined {
  if (to === null) throw new UnreadError("it is not known who shall take over");
  // A source that sees the standby, and nobody who takes writes, will see that one take them.
  const isSeen = said.outcome === "no-primary" && said.standbys.includes(to);
  if (said.outcome !== "published" && !isSeen) {
    return [`the registry says ${said.outcome}`, ...said.reasons].join("; ");
  }
  const member = said.members.find(({ name }) => name === to);
  if (member === undefined) return `${to} is no member there`;
  if (member.addresses.length === 0) return `${to} has no address there`;
  const hosts = view.members.map(({ name, declared }) => ({ name, host: declared.postgres.host }));
  const other = othersAddress(member.addresses, to, hosts);
  return other === undefined
    ? undefined
    : `the registry has ${to} at ${other.host}, the address of ${other.name}`;
}

/** A resolver that cannot be asked now will hardly be there in a moment, and nobody waits for it. */
export const resolvers: Check = ({ view: { names } }) => {
  if (names === null) return undefined;
  const silent = names.resolvers.flatMap((one) =>
    one.said.state === "unreachable" ? [`${one.name}: ${one.said.error}`] : [],
  );
  return overAll<() => readonly string[]>([() => silent, () => staleNodes(names)], (look) =>
    look(),
  );
};

function staleNodes({ registry: report }: NamesObservation): string[] {
  const said = need(report, `the registry at ${report.address}`);
  if (said.kind !== "cluster") throw new UnreadError(said.says);
  return said.nodes
    .filter((one) => !isAlive(one))
    .map(
      ({ name }) =>
        `${name}: the registry has not heard of its resolver of late, so nobody waits for it`,
    );
}

/** The monitor will refuse, or be in the middle of something. */
export const monitor: Check = ({ view, from, to }) => {
  if (view.monitor === null) return undefined;
  const nodes = need(view.monitor, `the monitor at ${view.monitor.address}`);
  if (from === null || to === null) throw new UnreadError("the ends are not known");
  return whyNotPromote(nodes, { from, to });
};

/**
 * Rows that are the monitor's own affair where one runs the cluster: whether a standby may be
 * promoted, and how the old primary is stopped and comes back.
 */
export const leftToMonitor: ReadonlySet<string> = new Set([
  "H1-two-members",
  "H1-manager",
  "H1-control",
  "H2-replay-paused",
  "H2-apply-delay",
  "H2-recovery-target",
  "H4-settings",
  "H4-room",
  "H4-reverse",
  "H5-archiver",
  "H5-archive-backlog",
  "H6-base-backup",
  "H6-late-receiver",
  "H6-receiver",
  "H6-sender-timeout",
  "H6-shutdown-timeout",
  "H8-synchronous",
  "H8-synchronous-old",
  "H10-rewind",
  "H10-disk",
  "H13-armed",
  "H14-restore",
  "H15-programs",
]);
