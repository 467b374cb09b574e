/** The paths of pg-health and what each answers. Replies that depend only on the word are built once. */
import { bodyReply, jsonReply, textReply } from "../../kit/http.ts";
import type { Reply, Route } from "../../kit/http.ts";
import type { Assessment } from "./assess.ts";
import { answerWords } from "./contract.ts";
import { fitOf, parseReplicaQuery, ReplicaQueryError } from "./lag.ts";
import type { HealthMetrics } from "./metrics.ts";
import type { Monitor } from "./monitor.ts";
import { statusOf } from "./status.ts";

const words = (status: (word: string) => number, suffix = ""): ReadonlyMap<string, Reply> =>
  new Map(answerWords.map((word) => [word, textReply(status(word), word + suffix)]));

const primaryStatus = (word: string): number => (word === "primary" ? 200 : 503);
const standbyStatus = (word: string): number => (word === "standby" ? 200 : 503);

const answers = { quick: words(primaryStatus), slow: words(primaryStatus, " (slow)") };
const replicas = { quick: words(standbyStatus), slow: words(standbyStatus, " (slow)") };
const behind = {
  lagging: textReply(503, "standby (lagging)"),
  stale: textReply(503, "standby (stale)"),
};
const live = textReply(200, "live");
const ready = textReply(200, "ready");

function pick(table: typeof answers, { answer, slow }: Assessment): Reply {
  const reply = (slow ? table.slow : table.quick).get(answer);
  if (reply === undefined) throw new Error(`no reply is built for ${answer}`);
  return reply;
}

/** The route table of one monitor. */
export function healthRoutes(
  monitor: Monitor,
  metrics: HealthMetrics,
): Readonly<Record<string, Route>> {
  /** Answers now when what is known is fresh, else when it is or the bound of waiting is over. */
  const whenReady = (answer: () => Reply): Reply | Promise<Reply> => {
    const waiting = monitor.ready();
    return waiting === undefined ? answer() : waiting.then(answer);
  };
  const primary: Route = () => whenReady(() => pick(answers, monitor.judge()));
  return {
    "/": primary,
    "/primary": primary,
    "/replica": (search) => replica(monitor, search, whenReady),
    "/livez": () => live,
    "/readyz": () =>
      whenReady(() => {
        const { link, reason } = monitor.judge();
        return link === "up" ? ready : textReply(503, `Postgres is not reachable: ${reason}`);
      }),
    "/status": () => whenReady(() => jsonReply(200, statusOf(monitor))),
    "/metrics": async () => {
      await monitor.ready();
      return bodyReply(200, metrics.contentType, await metrics.text(statusOf(monitor)));
    },
  };
}

function replica(
  monitor: Monitor,
  search: string,
  whenReady: (answer: () => Reply) => Reply | Promise<Reply>,
): Reply | Promise<Reply> {
  try {
    const question = parseReplicaQuery(search);
    return whenReady(() => {
      const assessment = monitor.judge();
      const fit = fitOf(monitor.lag(question.mode), question.limit);
      if (assessment.answer !== "standby" || fit === "within") return pick(replicas, assessment);
      return behind[fit];
    });
  } catch (error) {
    if (error instanceof ReplicaQueryError) return textReply(400, error.message);
    throw error;
  }
}
