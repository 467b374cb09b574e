/**
 * Everything that a registry does not do is told as problem JSON (RFC 9457): which status and title
 * an error has, and what of it is told. What is our own fault keeps its details in the log.
 */
import type { ServerResponse } from "node:http";
import type { z } from "zod";
import type { Problem } from "./contract.ts";

/** A request is not answered as it wished; the registry itself is well. */
export class RequestProblemError extends Error {
  override readonly name = "RequestProblemError";
  readonly code = "ERR_REGISTRY_REQUEST";
  readonly status: number;
  readonly title: string;
  constructor(status: number, title: string, detail: string) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

/** A body or a query that cannot be: 400, in the title that the published contract has. */
export function invalid(detail: string): RequestProblemError {
  return new RequestProblemError(400, "Validation Error", detail);
}

/** Status and title by the code of an error. */
const byCode: Readonly<Record<string, readonly [status: number, title: string]>> = {
  ERR_REGISTRY_MISSING: [404, "Not Found"],
  ERR_REGISTRY_CONFLICT: [409, "Conflict"],
  ERR_REGISTRY_ENDPOINT: [400, "Validation Error"],
  ERR_DEADLINE: [503, "Not In Time"],
};

/** What the parsers of express refuse, by their type. */
const byParser: Readonly<Record<string, readonly [title: string, detail: string]>> = {
  "entity.parse.failed": ["Validation Error", "the body is not JSON"],
  "entity.too.large": ["Body Too Large", "the body is longer than is taken here"],
  "encoding.unsupported": ["Unsupported Encoding", "the body's Content-Encoding is not taken"],
  "charset.unsupported": ["Unsupported Charset", "the body is not UTF-8"],
};

/** What is told of an error; `isOurs` when it belongs into the log. */
export function problemOf(error: unknown): { readonly told: Problem; readonly isOurs: boolean } {
  if (error instanceof RequestProblemError) {
    const { status, title, message } = error;
    return { told: { title, status, detail: message }, isOurs: false };
  }
  const { code, type, status, message } = error as Readonly<Record<string, unknown>>;
  const known = byCode[String(code)];
  if (known !== undefined) {
    return { told: { title: known[1], status: known[0], detail: String(message) }, isOurs: false };
  }
  if (typeof status === "number" && status >= 400 && status < 500) {
    const [title, detail] = byParser[String(type)] ?? ["Bad Request", "the request is malformed"];
    return { told: { title, status, detail }, isOurs: false };
  }
  const title = code === "ERR_REGISTRY_STORE" ? "Database Error" : "Internal Server Error";
  return { told: { title, status: 500 }, isOurs: true };
}

/** Sends a problem, unless the asker is gone or was answered. */
export function sendProblem(
  response: ServerResponse,
  told: Problem,
  extra: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(`${JSON.stringify(told)}\n`, "utf8");
  response.writeHead(told.status, {
    "Content-Type": "application/problem+json; charset=utf-8",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    ...(told.status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
    ...extra,
  });
  response.end(body);
}

/**
 * A body or a query as its contract has it.
 * @throws RequestProblemError naming each field that is wrong
 */
export function checked<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  if (value === undefined)
    throw invalid("the body: expected JSON (Content-Type: application/json)");
  throw invalid(result.error.issues.slice(0, 5).flatMap(issueWords).join("; "));
}

function issueWords(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${[at, key].filter((one) => one !== "").join(".")}: unknown`);
  }
  const [field, words] = [
    at === "" ? "the body" : at,
    issue.message.replace(/^Invalid input: /, ""),
  ];
  return [`${field}: ${words}`];
}
