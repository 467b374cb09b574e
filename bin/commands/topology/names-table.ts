/** The tables of the topology screen about names and about the monitor: what each of them says. */
import { ageInWords } from "../../../config/units.ts";
import { isAtRest, stateWords, whyUnsound } from "../../../router/monitor/nodes.ts";
import { valueOf } from "../../../router/cluster/view.ts";
import type { ClusterView } from "../../../router/cluster/view.ts";
import type { RegistrySaid } from "../../../router/names/said.ts";
import type { Style } from "../../cli/output.ts";
import type { Cell } from "../../cli/table.ts";

/** Its heading names the name that everybody is asked for. */
export function namesHeading({ names }: ClusterView): readonly string[] {
  return ["NAMES", names?.primary ?? "", "LEADS TO", "GENERATION", "STATE"];
}

/** The registry first, then each resolver; none where no registry is declared. */
export function namesRows({ names, members }: ClusterView, style: Style): Cell[][] {
  if (names === null) return [];
  const said = valueOf(names.registry);
  const memberAt = (addresses: readonly string[]): string => {
    const cluster = said?.kind === "cluster" ? said : null;
    // What the environment says counts: the registry may have a member at another's address.
    const declared = members.filter((one) => addresses.includes(one.declared.postgres.host));
    const meant = declared.find(({ name }) => name === cluster?.primary) ?? declared[0];
    if (meant !== undefined) return meant.name;
    if (addresses.some((one) => cluster?.addresses.includes(one))) return cluster?.primary ?? "-";
    return "-";
  };
  const resolvers = names.resolvers.map(({ name, said: report }): Cell[] => {
    const title = { text: name, paint: style.bold };
    const answer = valueOf(report);
    if (answer === null) return [title, ...dashes(3), { text: "silent", paint: style.bad }];
    const isGood = answer.rcode === "NOERROR" && answer.authoritative;
    const state = answer.rcode === "NOERROR" && !isGood ? "not of its zone" : answer.rcode;
    return [
      title,
      { text: answer.addresses.join(", ") || "-" },
      { text: memberAt(answer.addresses) },
      { text: answer.serial === null ? "-" : String(answer.serial) },
      isGood ? { text: "answers" } : { text: state, paint: style.warn },
    ];
  });
  return [registryRow(said, memberAt, style), ...resolvers];
}

function dashes(count: number): Cell[] {
  return Array.from({ length: count }, () => ({ text: "-" }));
}

function registryRow(
  said: RegistrySaid | null,
  memberAt: (addresses: readonly string[]) => string,
  style: Style,
): Cell[] {
  const title = { text: "registry", paint: style.bold };
  if (said === null) return [title, ...dashes(3), { text: "unreachable", paint: style.bad }];
  if (said.kind !== "cluster") {
    const text = said.kind === "denied" ? "denies the token" : "has no such cluster";
    return [title, ...dashes(3), { text, paint: style.bad }];
  }
  const isGood = said.outcome === "published";
  return [
    title,
    { text: said.addresses.join(", ") || "-" },
    { text: memberAt(said.addresses) },
    { text: String(said.generation) },
    isGood ? { text: said.outcome } : { text: said.outcome, paint: style.warn },
  ];
}

export const monitorHeading = ["MONITOR", "STATE", "SOUND", "REPORTED"];

/** A line for each node of the monitor; none where no monitor is declared. */
export function monitorRows({ monitor }: ClusterView, style: Style): Cell[][] {
  if (monitor === null) return [];
  const nodes = valueOf(monitor);
  if (nodes === null) {
    return [
      [
        { text: "monitor", paint: style.bold },
        { text: "unreachable", paint: style.bad },
      ],
    ];
  }
  return nodes.map((node) => {
    const isSound = whyUnsound(node) === undefined;
    return [
      { text: node.name, paint: style.bold },
      isAtRest(node) ? { text: stateWords(node) } : { text: stateWords(node), paint: style.warn },
      isSound ? { text: "yes" } : { text: "no", paint: style.bad },
      { text: `${ageInWords(node.reportAgeMs / 1000)} ago` },
    ];
  });
}
