/** Asks a pg-health for its status. Used by peers, topology and the lab. */
import { request } from "node:http";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { withDeadline } from "../../kit/clock.ts";
import { readReply } from "../../kit/http.ts";
import { healthStatus } from "./contract.ts";
import type { HealthStatus } from "./contract.ts";

/** A pg-health could not be asked, or what came back is no status. */
export class HealthClientError extends Error {
  override readonly name = "HealthClientError";
  readonly code: "ERR_HEALTH_UNREACHABLE" | "ERR_HEALTH_REPLY";
  constructor(code: HealthClientError["code"], what: string, said: string, cause: unknown) {
    super(`${what}: ${said}`, { cause });
    this.code = code;
  }
}

const replyBytesMax = 256 * 1024;

/**
 * Asks GET /status of the pg-health at `address`.
 * @throws HealthClientError, DeadlineError, or the signal's reason
 */
export async function fetchStatus(
  address: Address,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<HealthStatus> {
  const what = `GET http://${formatAddress(address)}/status`;
  const text = await withDeadline(
    what,
    options.deadlineMs,
    (signal) => get(address, what, signal),
    options.signal,
  );
  try {
    return healthStatus.parse(JSON.parse(text));
  } catch (cause) {
    throw new HealthClientError("ERR_HEALTH_REPLY", what, "the reply is no health status", cause);
  }
}

function get(address: Address, what: string, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const unreachable = (cause: Error): void =>
    reject(new HealthClientError("ERR_HEALTH_UNREACHABLE", what, cause.message, cause));
  const { host, port } = address;
  const asked = request({ host, port, path: "/status", agent: false, signal }, (reply) => {
    readReply(reply, replyBytesMax).then((text) => {
      if (reply.statusCode === 200) return resolve(text);
      const said = `the reply is ${reply.statusCode ?? 0}`;
      return reject(new HealthClientError("ERR_HEALTH_REPLY", what, said, undefined));
    }, unreachable);
  });
  asked.on("error", unreachable);
  asked.end();
  return promise;
}
