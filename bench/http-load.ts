/**
 * An open-loop HTTP load: requests leave by the timetable and not when the last answer came, and a
 * latency counts from the time that the request was due. A server that stalls is charged for all
 * that should have been sent meanwhile (no coordinated omission). A process of its own, so that it
 * does not share a thread with what it measures.
 *
 * usage: http-load.ts '{"host":"127.0.0.1","port":8008,"path":"/primary","connections":200,
 * "ratePerSecond":4000,"seconds":10,"warmUpSeconds":2}'; prints one JSON object.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { nextTurn, systemClock } from "../kit/clock.ts";

interface Plan {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly wrong: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** The most that a request left later than it was due: the generator's own share. */
  readonly lateMs: number;
}

interface Line {
  readonly socket: Socket;
  /** When each request that is under way was due. */
  readonly due: number[];
  pending: string;
}

const headEnd = "\r\n\r\n";

async function open(plan: Plan, onAnswer: (ok: boolean, due: number) => void): Promise<Line> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: plan.host, port: plan.port, noDelay: true });
  const line: Line = { socket, due: [], pending: "" };
  socket.on("connect", resolve);
  socket.on("error", reject);
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    line.pending += text;
    for (let size = replySize(line.pending); size > 0; size = replySize(line.pending)) {
      const ok = line.pending.startsWith("HTTP/1.1 200 ");
      line.pending = line.pending.slice(size);
      onAnswer(ok, line.due.shift() ?? 0);
    }
  });
  await promise;
  return line;
}

function replySize(text: string): number {
  const end = text.indexOf(headEnd);
  if (end < 0) return 0;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
  const size = end + headEnd.length + length;
  return text.length >= size ? size : 0;
}

async function run(plan: Plan): Promise<LoadResult> {
  const latencies: number[] = [];
  let wrong = 0;
  let measuredFrom = Infinity;
  const onAnswer = (ok: boolean, due: number): void => {
    if (due < measuredFrom) return;
    latencies.push(systemClock.monotonic() - due);
    if (!ok) wrong += 1;
  };
  const lines: Line[] = [];
  for (let index = 0; index < plan.connections; index += 1) lines.push(await open(plan, onAnswer));
  const request = `GET ${plan.path} HTTP/1.1\r\nHost: bench\r\n\r\n`;
  const gap = 1000 / plan.ratePerSecond;
  const total = plan.ratePerSecond * (plan.seconds + plan.warmUpSeconds);
  const start = systemClock.monotonic() + 50;
  measuredFrom = start + plan.warmUpSeconds * 1000;
  let lateMs = 0;
  let sent = 0;
  // The generator has a core of its own and looks at the clock all the time: a timer would send
  // in lumps of a millisecond.
  while (sent < total) {
    const now = systemClock.monotonic();
    for (; sent < total && start + sent * gap <= now; sent += 1) {
      const line = lines[sent % lines.length];
      const due = start + sent * gap;
      if (due >= measuredFrom) lateMs = Math.max(lateMs, now - due);
      line?.due.push(due);
      line?.socket.write(request);
    }
    await nextTurn();
  }
  await allAnswered(lines, systemClock.monotonic() + 5000);
  const unanswered = lines.reduce((sum, line) => sum + line.due.length, 0);
  for (const line of lines) line.socket.destroy();
  return summarise(latencies, wrong + unanswered, lateMs);
}

async function allAnswered(lines: readonly Line[], end: number): Promise<void> {
  while (lines.some((line) => line.due.length > 0) && systemClock.monotonic() < end) {
    await nextTurn();
  }
}

function summarise(latencies: number[], wrong: number, lateMs: number): LoadResult {
  const sorted = latencies.toSorted((left, right) => left - right);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return {
    requests: sorted.length,
    wrong,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: at(1),
    lateMs,
  };
}

if (import.meta.main) {
  const result = await run(JSON.parse(process.argv[2] ?? "{}") as Plan);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
