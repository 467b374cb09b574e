/**
 * Asks resolvers for one name once a millisecond, by the timetable and not when the last answer came,
 * and notes how long answers took and when another address was answered first.
 */
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Address } from "../kit/address.ts";
import { every, systemClock } from "../kit/clock.ts";
import { questionBytes, readAnswer } from "../sidecars/dns-resolver/ask-message.ts";

/** How the answers of one resolver were since the last look. */
export interface Watched {
  readonly asked: number;
  readonly unanswered: number;
  /** From a question to its answer, at most (ms). */
  readonly longestMs: number;
  /** The same without the time in which the asker itself was held up. */
  readonly ownMs: number;
}

export interface Asker {
  /** Resolves when every resolver answers this address and no other; when each did first (monotonic ms). */
  until(address: string): Promise<readonly number[]>;
  /** How it was at each since the last call, and the most that a question left too late (ms). */
  watched(): { readonly each: readonly Watched[]; readonly lateMs: number };
  stop(): void;
}

interface Line {
  readonly socket: Socket;
  /** When each question that is not answered yet was sent, by its id. */
  readonly open: Map<number, { readonly at: number; readonly held: number }>;
  answered: string;
  since: number;
  asked: number;
  longestMs: number;
  ownMs: number;
}

/** How long the asker was held up in all (ms), and when it last was seen to run. */
const held = { ms: 0, seen: 0 };

function heldUntil(now: number): number {
  return held.ms + Math.max(0, now - held.seen - 1);
}

/**
 * What asks goes before what it measures, where it may, and has no garbage: its own waits would be
 * taken for the resolver's.
 */
function hurry(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  try {
    setPriority(0, constants.priority.PRIORITY_HIGHEST);
  } catch {
    // Without the right to it, the figures say how late it was.
  }
}

/** Begins to ask. @throws NameError */
export async function startAsker(name: string, resolvers: readonly Address[]): Promise<Asker> {
  hurry();
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const lines = await Promise.all(resolvers.map((one) => openLine(one, name, changed)));
  const question = questionBytes(0, name, "A");
  let next = 0;
  held.seen = systemClock.monotonic();
  let lateMs = 0;
  const end = every(1, () => {
    const now = systemClock.monotonic();
    lateMs = Math.max(lateMs, now - held.seen - 1);
    held.ms = heldUntil(now);
    held.seen = now;
    next = (next + 1) & 0xffff;
    for (const line of lines) send(line, question, next);
  });
  return {
    until: async (address) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = (): void => {
        if (lines.every(({ answered }) => answered === address)) resolve();
      };
      listeners.add(look);
      look();
      await promise;
      listeners.delete(look);
      return lines.map(({ since }) => since);
    },
    watched: () => {
      const each = lines.map(taken);
      const late = lateMs;
      lateMs = 0;
      return { each, lateMs: late };
    },
    stop: () => {
      end();
      for (const { socket } of lines) socket.close();
    },
  };
}

function send(line: Line, question: Buffer, id: number): void {
  const message = Buffer.from(question);
  message.writeUInt16BE(id, 0);
  line.open.set(id, { at: systemClock.monotonic(), held: held.ms });
  line.asked += 1;
  line.socket.send(message);
}

async function openLine({ host, port }: Address, name: string, changed: () => void): Promise<Line> {
  const socket = createSocket("udp4");
  const connected = once(socket, "connect");
  socket.connect(port, host);
  await connected;
  const line: Line = {
    socket,
    open: new Map(),
    answered: "",
    since: 0,
    asked: 0,
    longestMs: 0,
    ownMs: 0,
  };
  socket.on("error", () => undefined);
  socket.on("message", (message) => {
    const now = systemClock.monotonic();
    const id = message.readUInt16BE(0);
    const sent = line.open.get(id);
    if (sent === undefined) return;
    line.open.delete(id);
    line.longestMs = Math.max(line.longestMs, now - sent.at);
    line.ownMs = Math.max(line.ownMs, now - sent.at - (heldUntil(now) - sent.held));
    const answer = readAnswer(message, questionBytes(id, name, "A"));
    const answered = answer === undefined || answer === "cut" ? "" : answer.addresses.join(" ");
    if (answered === line.answered) return;
    line.answered = answered;
    line.since = now;
    changed();
  });
  return line;
}

/** What waits for longer than this is lost (ms). */
const lostMs = 5000;

function taken(line: Line): Watched {
  const now = systemClock.monotonic();
  const lost = [...line.open].filter(([, sent]) => now - sent.at > lostMs);
  for (const [id] of lost) line.open.delete(id);
  const { asked, ownMs } = line;
  // What is under way still has waited this long at least.
  const waiting = [...line.open.values()].map((sent) => now - sent.at);
  const longestMs = Math.max(line.longestMs, ...waiting, 0);
  line.asked = 0;
  line.longestMs = 0;
  line.ownMs = 0;
  return { asked, unanswered: lost.length, longestMs, ownMs };
}
