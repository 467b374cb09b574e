/** Conditions about what operators keep down or closed on purpose. */
import { isFenceSignature } from "../../fence/observation.ts";
import type { FenceMark } from "../../haproxy/fence-marks.ts";
import { valueOf } from "../view.ts";
import type { ClusterView, MemberView } from "../view.ts";
import type { Condition } from "./condition.ts";

interface Fenced {
  readonly mark: FenceMark;
  readonly routers: readonly string[];
  /** Routers whose file was read and has no mark. */
  readonly without: readonly string[];
}

function fenceOf(view: ClusterView, member: MemberView): Fenced | undefined {
  const seen = view.routers.flatMap(({ name, configuration }) => {
    const drift = valueOf(configuration);
    if (drift === null) return [];
    return [{ name, mark: drift.fenced.find((one) => one.member === member.name) }];
  });
  const mark = seen.find((one) => one.mark !== undefined)?.mark;
  if (mark === undefined) return undefined;
  return {
    mark,
    routers: seen.filter((one) => one.mark !== undefined).map((one) => one.name),
    without: seen.filter((one) => one.mark === undefined).map((one) => one.name),
  };
}

/** An operator fenced a member: the files of the routers say so. */
export const memberFenced: Condition = (view) =>
  view.members.flatMap((member) => {
    const fenced = fenceOf(view, member);
    const signature = valueOf(member.postgres)?.signature ?? "";
    if (fenced === undefined) {
      const says = "its standby.signal is a fence's, and no router's file keeps it down";
      return isFenceSignature(signature) ? [{ part: member.name, says }] : [];
    }
    const { mark, routers, without } = fenced;
    const why = mark.why === "" ? "" : ` (${mark.why})`;
    const where = [
      `kept down in ${routers.join(", ")}`,
      ...(without.length === 0 ? [] : [`not in ${without.join(", ")}`]),
      ...(member.writable === true ? ["and it takes writes all the same"] : []),
    ].join(", ");
    return [{ part: member.name, says: `fenced by ${mark.by} at ${mark.at}${why}: ${where}` }];
  });

/** An operator has opened a maintenance window. */
export const maintenanceWindow: Condition = ({ maintenance, cluster }) => {
  if (maintenance === null) return [];
  const { since, by, reason, steps } = maintenance;
  const open = steps.filter((one) => one.state !== "stands" && one.state !== "undone");
  const why = reason === "" ? "" : `: ${reason}`;
  const states = open.map((one) => `${one.name} is ${one.state}`).join(", ");
  const says = `maintenance since ${since} by ${by}${why}${states === "" ? "" : ` (${states})`}`;
  return [{ part: cluster, says }];
};
