/**
 * A member as a router sees it, on real sockets: a health endpoint that answers what the test sets,
 * and a pooler that greets each connection with the member's name and echoes what it gets.
 */
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { eventually, systemClock, withDeadline } from "../../kit/clock.ts";

/** What the health endpoint does: an answer, or it accepts and says nothing. */
export type HealthAnswer = "primary" | "standby" | "silent";

export interface FakeMember {
  readonly name: string;
  readonly host: string;
  /** Sets what the health endpoint answers from now on. */
  health: HealthAnswer;
  /** Connections that have reached the pooler since the start. */
  readonly landed: () => number;
  /** Connections that are open now. */
  readonly open: () => number;
  /**
   * Keeps every check waiting from now on, so that none undoes what a router is told; resolves once
   * so many wait. The router has to give a check the time.
   */
  readonly hold: (checks: number) => Promise<void>;
  /** Answers those that wait, and the next ones at once again. */
  readonly letGo: () => void;
  /** Paths that the health endpoint was asked for. */
  readonly asked: () => ReadonlySet<string>;
  readonly stop: () => Promise<void>;
}

const holdPatience = { deadlineMs: 20_000, intervalMs: 10 };

/** Starts a member on `host` (a loopback address of the test's own): pooler 6432, health 8008. */
export async function startFakeMember(
  name: string,
  host: string,
  health: HealthAnswer,
  ports: { pooler: number; health: number } = { pooler: 6432, health: 8008 },
): Promise<FakeMember> {
  const sockets = new Set<Socket>();
  const asked = new Set<string>();
  let landed = 0;
  const pooler = createServer((socket) => {
    landed += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
  const held: { waiting: (() => void)[] | undefined } = { waiting: undefined };
  const probe = createHttpServer((request, response) => {
    asked.add(request.url ?? "");
    const answer = (): void => {
      if (member.health === "silent") return;
      const wanted = request.url?.startsWith("/replica") === true ? "standby" : "primary";
      response.writeHead(member.health === wanted ? 200 : 503);
      response.end(`${member.health}\n`);
    };
    if (held.waiting === undefined) answer();
    else held.waiting.push(answer);
  });
  const probeSockets = new Set<Socket>();
  probe.on("connection", (socket: Socket) => {
    probeSockets.add(socket);
    socket.on("close", () => probeSockets.delete(socket));
  });
  const member: FakeMember = {
    name,
    host,
    health,
    landed: () => landed,
    open: () => sockets.size,
    hold: async (checks) => {
      held.waiting ??= [];
      await eventually(`${checks} checks of ${name}`, holdPatience, () =>
        (held.waiting?.length ?? 0) >= checks ? true : undefined,
      );
    },
    letGo: () => {
      const waiting = held.waiting ?? [];
      held.waiting = undefined;
      for (const answer of waiting) answer();
    },
    asked: () => asked,
    stop: async () => {
      for (const socket of [...sockets, ...probeSockets]) socket.destroy();
      await Promise.all([close(pooler), close(probe)]);
    },
  };
  await listen(pooler, ports.pooler, host);
  await listen(probe, ports.health, host);
  return member;
}

function listen(server: Server, port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, host, resolve);
  return promise;
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  return promise;
}

export interface Visit {
  /** The member that greeted, or "none" when the connection ended or failed before a greeting. */
  readonly landed: string;
  /** From the call to the greeting or the end, in milliseconds. */
  readonly ms: number;
  readonly socket: Socket;
  /** Resolves when the connection has ended, from either side. */
  readonly ended: Promise<void>;
}

/** Opens a connection through a router, says a word as a Postgres client would, and waits. */
export function visit(host: string, port: number, deadlineMs = 10_000): Promise<Visit> {
  return withDeadline(`a greeting through ${host}:${port}`, deadlineMs, async (signal) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const start = systemClock.monotonic();
    const socket = connect(port, host);
    const ended = new Promise<void>((done) => socket.once("close", () => done()));
    socket.once("data", (chunk: Buffer) => resolve(chunk.toString().split("\n")[0] ?? ""));
    socket.on("data", () => undefined);
    socket.on("error", () => undefined);
    void ended.then(() => resolve("none"));
    signal.addEventListener("abort", () => socket.destroy());
    socket.write("hello\n");
    const landed = await promise;
    return { landed, ms: systemClock.monotonic() - start, socket, ended };
  });
}
