/** One whole look at a cluster: observe, join, find, judge. */
import type { Environment } from "../../config/schema.ts";
import { findingsOf } from "./findings.ts";
import type { Finding } from "./findings.ts";
import { observeCluster } from "./observe.ts";
import { verdictOf } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";
import { assembleView } from "./view.ts";
import type { ClusterView } from "./view.ts";

export interface Topology {
  readonly view: ClusterView;
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
}

/**
 * Looks once at every part of the environment, side by side, and judges what was seen. Takes no
 * longer than the environment's probe deadline and a little.
 * @throws the signal's reason
 */
export async function lookAtCluster(
  environment: Environment,
  signal?: AbortSignal,
): Promise<Topology> {
  const view = assembleView(environment, await observeCluster(environment, signal));
  const findings = findingsOf(view);
  return { view, findings, verdict: verdictOf(view, findings) };
}
