/**
 * The registry's HTTP interface on express: the route tables, who may ask, and what is answered where
 * nothing is found or something fails. Everything under /api answers as JSON.
 */
import express from "express";
import type { Express, NextFunction, Request, Response } from "express";
import { withDeadline } from "../kit/clock.ts";
import type { RegistryMetrics } from "./metrics.ts";
import { problemOf, sendProblem } from "./problem.ts";
import { agentRoutes } from "./routes-agent.ts";
import { clusterRoutes } from "./routes-clusters.ts";
import { stateRoutes } from "./routes-state.ts";
import type { Asked, RegistryParts, RouteRow } from "./routes.ts";

const bodyLimit = "2mb";
const readyDeadlineMs = 2000;

/** The routes of a registry whose store is open. */
export function registryApp(parts: RegistryParts, metrics: RegistryMetrics): Express {
  const app = emptyApp();
  app.get("/readyz", async (_, response) => {
    try {
      await withDeadline("read the store", readyDeadlineMs, () => parts.zone.fresh());
      sendText(response, 200, "ready");
    } catch (error) {
      sendText(response, 503, (error as Error).message);
    }
  });
  app.get("/metrics", async (_, response) => {
    const text = await metrics.text(parts);
    response.writeHead(200, { "Content-Type": metrics.contentType, "Cache-Control": "no-store" });
    response.end(text);
  });
  const rows = [...agentRoutes, ...clusterRoutes, ...stateRoutes];
  const parser = express.json({ limit: bodyLimit, strict: true });
  for (const row of rows) {
    app[row.method](
      row.path,
      counted(row, metrics),
      allowed(row, parts),
      parser,
      answering(row, parts),
    );
  }
  for (const path of new Set(rows.map((one) => one.path))) {
    const methods = rows.filter((one) => one.path === path).map((one) => one.method.toUpperCase());
    app.all(path, (request, response) => notAllowed(request, response, methods));
  }
  app.use(notFound);
  app.use(failing(parts));
  return app;
}

/** What answers while the store does not: the process lives, and nothing else is ready. */
export function waitingApp(why: () => string): Express {
  const app = emptyApp();
  app.get("/readyz", (_, response) => sendText(response, 503, why()));
  app.use((_, response) => {
    const told = { title: "Store Not Ready", status: 503, detail: why() };
    sendProblem(response, told, { "Retry-After": "1" });
  });
  return app;
}

function emptyApp(): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("strict routing");
  app.enable("case sensitive routing");
  app.set("query parser", "simple");
  app.get("/livez", (_, response) => sendText(response, 200, "live"));
  return app;
}

function sendText(response: Response, status: number, text: string): void {
  const headers = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" };
  response.writeHead(status, headers);
  response.end(`${text}\n`);
}

/** What it rejects with goes to `failing`: express sees to that. */
type Handler = (request: Request, response: Response, next: NextFunction) => void | Promise<void>;

function counted({ method, path }: RouteRow, metrics: RegistryMetrics): Handler {
  return (_, response, next) => {
    response.once("finish", () => metrics.count(method, path, response.statusCode));
    next();
  };
}

/** Before the body is read: a stranger's is not. */
function allowed({ who }: RouteRow, { tokens }: RegistryParts): Handler {
  const right: Readonly<Record<RouteRow["who"], (request: Request) => Promise<void>>> = {
    admin: (request) => tokens.admin(request.headers.authorization),
    node: (request) => tokens.node(request.headers.authorization, nodeIdOf(request)),
  };
  const check = right[who];
  return async (request, _, next) => {
    await check(request);
    next();
  };
}

/** What is no id is the id of nobody, so that who has no right learns nothing from it. */
function nodeIdOf(request: Request): number {
  const text = String(request.params["node_id"]);
  return /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : 0;
}

function answering({ answer }: RouteRow, parts: RegistryParts): Handler {
  return async (request, response) => {
    const told = await answer(askedIn(request, response), parts);
    if (told === undefined || response.headersSent || response.destroyed) return;
    const body = Buffer.from(`${JSON.stringify(told.body)}\n`, "utf8");
    response.writeHead(told.status, {
      "Content-Type": "application/json; charset=utf-8",
      "Content-Length": body.length,
      "Cache-Control": "no-store",
    });
    response.end(body);
  };
}

function askedIn(request: Request, response: Response): Asked {
  return {
    params: request.params as Readonly<Record<string, string>>,
    query: request.query,
    body: request.body as unknown,
    authorization: request.headers.authorization,
    signal: () => {
      const hungUp = new AbortController();
      response.once("close", () => hungUp.abort(new Error("the asker has hung up")));
      return hungUp.signal;
    },
    response,
  };
}

function notAllowed(request: Request, response: Response, methods: readonly string[]): void {
  const allow = methods.includes("GET") ? [...methods, "HEAD"] : methods;
  const detail = `${request.method} is not answered here; ${allow.join(", ")} is`;
  sendProblem(
    response,
    { title: "Method Not Allowed", status: 405, detail },
    { Allow: allow.join(", ") },
  );
}

function notFound(_: Request, response: Response): void {
  sendProblem(response, { title: "Not Found", status: 404, detail: "there is no such path here" });
}

/** Express knows it by its four parameters. */
function failing({ logger }: RegistryParts) {
  return (error: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const { told, isOurs } = problemOf(error);
    // Who hung up caused it.
    if (isOurs && !response.destroyed)
      logger.error({ step: request.path, err: error }, "a request failed");
    sendProblem(response, told);
  };
}
