/**
 * An address that answers no SYN, as a host does that lost its power: a process that listens, stopped,
 * with its backlog full (listen(2): the kernel drops what comes then). And one that still takes
 * connections, as a stopped Postgres does, and says nothing.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Test } from "tap";
import type { Address } from "../../kit/address.ts";
import { nextTurn, systemClock } from "../../kit/clock.ts";

export interface BlackHole {
  readonly host: string;
  readonly port: number;
  /** The listener goes on: it closes what it is sent, or is a way to another server. */
  wake(): void;
}

const script = `
  const { connect, createServer } = require("node:net");
  const [host, port, backlog, toHost, toPort] = process.argv.slice(1);
  const relay = (near, far) => {
    for (const [one, other] of [[near, far], [far, near]])
      one.on("error", () => {}).on("close", () => other.destroy()).pipe(other);
  };
  const server = createServer((socket) =>
    toHost === undefined
      ? socket.on("error", () => {}).end()
      : relay(socket, connect(Number(toPort), toHost)));
  server.listen({ host, port: Number(port), backlog: Number(backlog) }, () =>
    process.stdout.write(server.address().port + "\\n"));
`;

/** A connection within this machine is made at once, or not at all. */
const madeWithinMs = 300;
const mostToFill = 20;

/**
 * Listens on `host`, at any free port unless one is given; ends with the test.
 * @param to where the way leads once it is woken: who still tries gets through with the next SYN
 */
export async function startBlackHole(
  t: Pick<Test, "teardown">,
  host: string,
  port = 0,
  to?: Address,
): Promise<BlackHole> {
  const { child, bound } = await startStopped(t, host, port, 1, to);
  const fillers: Socket[] = [];
  const letGo = (): void => {
    for (const socket of fillers) socket.destroy();
  };
  t.teardown(letGo);
  let isFull = false;
  while (!isFull) {
    const socket = connect(bound, host).on("error", () => undefined);
    fillers.push(socket);
    await Promise.race([once(socket, "connect"), systemClock.sleep(madeWithinMs)]);
    // This process may have been held up itself: then the event lies there, unread.
    await nextTurn();
    isFull = socket.connecting;
    if (fillers.length > mostToFill)
      throw new Error(`the backlog of ${host}:${bound} takes no end`);
  }
  const wake = (): void => {
    letGo();
    child.kill("SIGCONT");
  };
  return { host, port: bound, wake };
}

/** As startBlackHole, but connections are made: nobody takes them. */
export async function startMute(
  t: Pick<Test, "teardown">,
  host: string,
  port = 0,
): Promise<BlackHole> {
  const { child, bound } = await startStopped(t, host, port, 100);
  return { host, port: bound, wake: () => void child.kill("SIGCONT") };
}

async function startStopped(
  t: Pick<Test, "teardown">,
  host: string,
  port: number,
  backlog: number,
  to?: Address,
): Promise<{ child: ChildProcess; bound: number }> {
  const target = to === undefined ? [] : [to.host, String(to.port)];
  const words = ["-e", script, host, String(port), String(backlog), ...target];
  // tap's loaders are not for this.
  const env = { PATH: process.env["PATH"] ?? "" };
  const child = spawn(process.execPath, words, { env, stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(async () => {
    const ended = once(child, "exit");
    if (child.kill("SIGKILL")) await ended;
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  child.kill("SIGSTOP");
  return { child, bound: Number(line.toString()) };
}
