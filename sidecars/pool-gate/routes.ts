/**
 * The paths of pool-gate: who may ask (a bearer token, RFC 6750 2.1, compared in constant time),
 * what is asked, and what the gate answered.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { z } from "zod";
import type { Secret } from "../../config/secret.ts";
import { jsonReply, textReply } from "../../kit/http.ts";
import type { MethodRoute, MethodRoutes, Reply, Route, WholeRequest } from "../../kit/http.ts";
import { leaseRequest, pauseRequest } from "./contract.ts";
import type { Gate } from "./gate.ts";

const live = textReply(200, "live");
const denied = textReply(401, "unauthorized", ["WWW-Authenticate", "Bearer"]);

/** The route table of one gate; without the token nothing but /livez is told. */
export function gateRoutes(
  gate: Gate,
  token: Secret,
): Readonly<Record<string, Route | MethodRoutes>> {
  const isKnown = tokenCheck(token);
  const guarded =
    (answer: MethodRoute): MethodRoute =>
    (request) =>
      isKnown(request.headers.authorization) ? answer(request) : denied;
  return {
    "/livez": () => live,
    "/status": { GET: guarded(async () => jsonReply(200, await gate.status())) },
    "/pause": {
      POST: guarded((request) =>
        withBody(request, pauseRequest, (asked) => gate.pause(asked, request.signal)),
      ),
    },
    "/renew": {
      POST: guarded((request) =>
        withBody(request, leaseRequest, async ({ lease, ttlMs }) =>
          ttlMs === undefined ? undefined : await gate.renew(lease, ttlMs),
        ),
      ),
    },
    "/resume": {
      POST: guarded((request) =>
        withBody(request, leaseRequest, async ({ lease }) => await gate.resume(lease)),
      ),
    },
  };
}

/** Hashes have one length, so that the comparison tells nothing, not even that. */
function tokenCheck(token: Secret): (header: string | undefined) => boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest();
  const wanted = hash(`Bearer ${token.reveal()}`);
  return (header) => timingSafeEqual(hash(header ?? ""), wanted);
}

async function withBody<T>(
  { body }: WholeRequest,
  shape: z.ZodType<T>,
  answer: (asked: T) => Promise<{ status: number; body: object } | undefined>,
): Promise<Reply> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    return textReply(400, "the body is not JSON");
  }
  const result = shape.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = issue?.path.join(".") ?? "";
    return textReply(400, `${at === "" ? "the body" : at}: ${issue?.message ?? "wrong"}`);
  }
  const given = await answer(result.data);
  if (given === undefined) return textReply(400, "ttlMs: needed");
  return jsonReply(given.status, given.body);
}
