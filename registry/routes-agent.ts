/**
 * The published wire contract of the internal DNS plane: changes, held until there are some, and
 * acknowledgements. Agents of others speak it too: fields, types, statuses and titles stay.
 */
import { z } from "zod";
import { answerKind, judgeAck } from "./answers.ts";
import { ackRequest, waitSecondsMax } from "./contract.ts";
import type { AckReply } from "./contract.ts";
import { sendBody, unchanged } from "./polls.ts";
import { checked, RequestProblemError } from "./problem.ts";
import { idIn } from "./routes.ts";
import type { Asked, RegistryParts, RouteRow, Told } from "./routes.ts";

const wholeNumber = z
  .string("expected one whole number")
  .regex(/^-?[0-9]{1,19}$/, "expected a whole number")
  .transform(Number);

/** Seconds; more than the longest hold is the longest hold. */
export const waitWord = z
  .string("expected one number of seconds")
  .regex(/^[0-9]{1,6}(\.[0-9]{1,3})?$/, "expected a number of seconds from 0")
  .transform((text) => Math.min(Number(text), waitSecondsMax));

const changesQuery = z.object({
  since: wholeNumber.default(0),
  wait: waitWord.default(0),
  epoch: z.string().max(100).optional(),
  hash: z.string().max(64).optional(),
});

async function changes(asked: Asked, parts: RegistryParts): Promise<undefined> {
  const { hearing, polls, tokens, zone } = parts;
  const { response } = asked;
  const id = idIn(asked, "node_id");
  const query = checked(changesQuery, asked.query);
  const read = await zone.fresh();
  // What holds now: a later read may have come in between.
  const head = zone.head ?? read;
  const kind = answerKind(query, head);
  if (kind === "full" && query.since > 0) refuseUnheard(await hearing.missing());
  if (kind === "same" && query.wait > 0) {
    polls.hold(response, head, id, query.wait);
    // Whose right ended before it was held is ended by nobody else; from now on revoke() does it.
    await tokens.node(asked.authorization, id);
  } else if (kind === "same") sendBody(response, unchanged(head));
  else sendBody(response, await zone.reply(kind === "full" ? 0 : query.since));
}

/** Old names beat wrong ones: what an agent has is not replaced by what nobody has confirmed. */
function refuseUnheard(clusters: readonly string[]): void {
  if (clusters.length === 0) return;
  const some = clusters.slice(0, 10).join(", ");
  const detail = `this store is not the one that was applied, and the role source of ${some} was not heard of since; what is applied stays until then`;
  throw new RequestProblemError(503, "Store Not Ready", detail);
}

async function acknowledge(asked: Asked, { store, zone }: RegistryParts): Promise<Told> {
  const id = idIn(asked, "node_id");
  const ack = checked(ackRequest, asked.body);
  // What was applied may be newer than what this process has heard of.
  const isKnown = (zone.head?.generation ?? -1) >= ack.applied_generation;
  const head = isKnown && zone.head !== undefined ? zone.head : await zone.fresh();
  const verdict = judgeAck(ack, head);
  if (verdict.kind === "ahead") {
    const words = `node ${id} tried to ACK generation ${ack.applied_generation}`;
    const detail = `ACK rejected: ${words} but only ${head.generation} has been issued`;
    throw new RequestProblemError(400, "ACK Generation Out Of Range", detail);
  }
  if (verdict.kind === "epoch") {
    const detail = `ACK rejected: node ${id} has epoch ${ack.epoch} but this store is ${head.epoch}`;
    throw new RequestProblemError(409, "ACK Epoch Differs", detail);
  }
  const node = await store.acknowledge(id, verdict.applied);
  const body: AckReply = {
    node_id: id,
    applied_generation: node.appliedGeneration,
    server_generation: head.generation,
  };
  return { status: 200, body };
}

/** The routes of agents. */
export const agentRoutes: readonly RouteRow[] = [
  {
    method: "get",
    path: "/api/internal/nodes/:node_id/dns/changes",
    who: "node",
    answer: changes,
  },
  {
    method: "post",
    path: "/api/internal/nodes/:node_id/dns/ack",
    who: "node",
    answer: acknowledge,
  },
];
