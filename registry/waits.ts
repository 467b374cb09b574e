/**
 * What a request waits for that others do: the look at a cluster's roles that some process of this
 * registry makes, and the acknowledgements of the nodes. Every wait has a deadline.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { DeadlineError, withDeadline } from "../kit/clock.ts";
import type { Clock } from "../kit/clock.ts";
import { isAcknowledged } from "./answers.ts";
import { reconcileReply } from "./contract.ts";
import type { ReconcileReply } from "./contract.ts";
import { RequestProblemError } from "./problem.ts";
import type { RegistryStore, StoredNode } from "./store/store.ts";

/** A payload of the topic `reconciled`; `problem` where the look failed. */
const reconciled = z.object({
  request: z.string(),
  reply: reconcileReply.optional(),
  problem: z.string().optional(),
});

/** A source that is silent costs its own deadline, which is shorter. */
const lookDeadlineMs = 10_000;
/** While the lead moves from one process to another nobody hears a request: it is made again. */
const askAgainMs = 1000;

type Bus = Pick<RegistryStore, "publish" | "subscribe">;

/**
 * Asks the process that reconciles, whichever it is, to look at a cluster now.
 * @throws RequestProblemError 503 when none answers or its look fails; StoreError; the signal's reason
 */
export async function lookNow(
  store: Bus,
  cluster: string,
  signal: AbortSignal,
): Promise<ReconcileReply> {
  const request = randomUUID();
  const { promise, resolve } = Promise.withResolvers<z.infer<typeof reconciled>>();
  const end = store.subscribe("reconciled", (payload) => {
    const heard = reconciled.safeParse(jsonOf(payload));
    if (heard.success && heard.data.request === request) resolve(heard.data);
  });
  const payload = JSON.stringify({ cluster, request });
  const ask = async (inner: AbortSignal): Promise<z.infer<typeof reconciled>> => {
    for (;;) {
      await store.publish("reconcile", payload);
      const heard = await soon("a look", askAgainMs, promise, inner);
      if (heard !== undefined) return heard;
    }
  };
  try {
    const { reply, problem } = await withDeadline("a look", lookDeadlineMs, ask, signal);
    if (reply !== undefined) return reply;
    throw new RequestProblemError(503, "Look Failed", problem ?? "the look came to nothing");
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    const detail = `no process of this registry looked at ${cluster} within ${lookDeadlineMs} ms`;
    throw new RequestProblemError(503, "Nobody Reconciles", detail);
  } finally {
    end();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Waits until every live node has acknowledged `generation`, or `waitMs` are over.
 * @returns the nodes as they are then
 * @throws StoreError; the signal's reason
 */
export async function nodesAfter(
  store: Pick<RegistryStore, "nodes" | "subscribe">,
  generation: number,
  waitMs: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<readonly StoredNode[]> {
  const end = clock.monotonic() + waitMs;
  let news = Promise.withResolvers<void>();
  const off = store.subscribe("acks", () => news.resolve());
  try {
    for (;;) {
      news = Promise.withResolvers<void>();
      const nodes = await store.nodes();
      const leftMs = end - clock.monotonic();
      if (leftMs <= 0 || isAcknowledged(nodes, generation, clock.now())) return nodes;
      // A node that is heard of no more stops counting while this waits.
      await soon("an acknowledgement", Math.min(leftMs, 1000), news.promise, signal);
    }
  } finally {
    off();
  }
}

/** What is waited for, or undefined when it has not come within `ms`. @throws the signal's reason */
async function soon<T>(
  what: string,
  ms: number,
  news: Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await withDeadline(what, ms, () => news, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof DeadlineError)) throw error;
    return undefined;
  }
}
