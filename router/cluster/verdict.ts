/** One word for the whole cluster, with the reasons for it. */
import type { Finding } from "./findings.ts";
import type { ClusterView, MemberView } from "./view.ts";

/** unreachable: not one member answered, so nothing at all is known. */
export type VerdictLevel = "healthy" | "degraded" | "unsafe" | "unreachable";

export interface Verdict {
  readonly level: VerdictLevel;
  /** One sentence without its full stop. */
  readonly summary: string;
  /** What speaks for it, the most urgent first; empty when healthy. */
  readonly reasons: readonly string[];
}

/** Judges: what is unsafe outweighs everything, and notes weigh nothing. */
export function verdictOf(view: ClusterView, findings: readonly Finding[]): Verdict {
  const weighty = findings.filter((one) => one.severity !== "note");
  const unsafe = weighty.filter((one) => one.severity === "unsafe");
  const reasons = weighty.map((one) => `${one.part}: ${one.says}`);
  if (unsafe.length > 0) {
    return { level: "unsafe", summary: unsafe.map((one) => one.says).join("; "), reasons };
  }
  if (view.members.every((one) => !one.reached)) {
    return { level: "unreachable", summary: "no member can be reached", reasons };
  }
  if (weighty.length > 0) return { level: "degraded", summary: whoWrites(view, findings), reasons };
  return { level: "healthy", summary: whoWrites(view, findings), reasons: [] };
}

function whoWrites(view: ClusterView, findings: readonly Finding[]): string {
  const [primary] = view.writable;
  if (primary === undefined) return "no member is known to take writes";
  const names = (wanted: (member: MemberView) => boolean): string =>
    view.members
      .filter((one) => one.name !== primary && wanted(one))
      .map((one) => one.name)
      .join(", ");
  const isSilent = (one: MemberView): boolean =>
    findings.some(({ code, part }) => code === "standby-silent" && part === one.name);
  const streaming = names((one) => one.upstream === primary && !isSilent(one));
  const silent = names((one) => one.role === "unknown");
  return [
    `${primary} takes writes`,
    ...(streaming === "" && silent === "" && view.members.length > 1 ? ["no standby streams"] : []),
    ...(streaming === "" ? [] : [`${streaming} streams`]),
    ...(silent === "" ? [] : [`nothing is known of ${silent}`]),
  ].join("; ");
}
