/**
 * The paths of dns-resolver. They answer from the moment the process is there, so that whoever waits
 * for it to be ready sees why it is not yet.
 */
import { bodyReply, jsonReply, textReply } from "../../kit/http.ts";
import type { Reply, Route } from "../../kit/http.ts";
import { metricsContentType } from "../../kit/metrics-text.ts";
import type { ResolverStatus } from "./contract.ts";
import { resolverMetrics } from "./metrics.ts";
import { isReady } from "./status.ts";

const live = textReply(200, "live");
const starting = textReply(503, "starting");

/** The route table; `status` is undefined until every address was tried. */
export function resolverRoutes(
  status: () => ResolverStatus | undefined,
): Readonly<Record<string, Route>> {
  const whenStarted = async (
    answer: (status: ResolverStatus) => Promise<Reply> | Reply,
  ): Promise<Reply> => {
    const now = status();
    return now === undefined ? starting : await answer(now);
  };
  return {
    "/livez": () => live,
    "/readyz": () => whenStarted(readiness),
    "/status": () => whenStarted((now) => jsonReply(200, now)),
    "/metrics": () =>
      whenStarted((now) => bodyReply(200, metricsContentType, resolverMetrics(now))),
  };
}

/**
 * Ready: a zone is loaded, and at one address or more it is answered from, as the resolver found by
 * asking itself. A registry that is away makes it no less ready.
 */
function readiness(status: ResolverStatus): Reply {
  const { reasons, state } = status;
  return textReply(isReady(status) ? 200 : 503, [state, ...reasons].join("\n"));
}
