/** The stream that pg gets, before it has a session, and what it says of the socket that it has. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import t from "tap";
import { HandoverStream } from "../../client/session/handover.ts";
import type { Handover } from "../../client/session/handover.ts";
import { createRecorder } from "../../client/session/recording.ts";
import { eventually } from "../../kit/clock.ts";
import { socketPair } from "../support/socket-pair.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };

/** A search that ends only when it is told to. */
function openSearch(): {
  search: (signal: AbortSignal) => Promise<Handover>;
  signal(): AbortSignal;
} {
  let given: AbortSignal | undefined;
  return {
    signal: () => given as AbortSignal,
    search: (signal) => {
      given = signal;
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      });
    },
  };
}

t.test("before there is a session", async (t) => {
  t.test("nothing was begun", async (t) => {
    const { search, signal } = openSearch();
    const stream = new HandoverStream(search);
    stream.destroy();
    await once(stream, "close");
    t.equal(signal(), undefined, "nobody searched");
  });
  for (const how of ["destroy", "end"] as const) {
    t.test(`${how} while it searches`, async (t) => {
      const { search, signal } = openSearch();
      const stream = new HandoverStream(search);
      stream.connect();
      t.ok(stream.connecting);
      const failed = once(stream, "error") as Promise<[Error]>;
      const closed = new Promise((resolve) => stream.once("close", resolve));
      if (how === "destroy") stream.destroy();
      else stream.write("X", () => stream.end());
      const [error] = await failed;
      t.match(error.message, /while it was connecting/, "whoever connects is told");
      t.ok(signal().aborted, "the search is stopped");
      await closed;
      t.notOk(stream.connecting);
    });
  }
  t.test("the error of who destroys comes first", async (t) => {
    const { search } = openSearch();
    const stream = new HandoverStream(search);
    stream.connect();
    stream.destroy(new Error("timeout expired"));
    const [error] = (await once(stream, "error")) as [Error];
    t.equal(error.message, "timeout expired");
  });
  t.test("a session that comes too late is closed", async (t) => {
    const { near } = await socketPair(t);
    let onFound: (found: Handover) => void = () => undefined;
    const stream = new HandoverStream(
      () =>
        new Promise((resolve) => {
          onFound = resolve;
        }),
    );
    stream.connect();
    stream.on("error", () => undefined);
    stream.destroy();
    onFound({ startup: undefined, take: () => near, close: () => near.destroy() });
    t.ok(await eventually("it is closed", soon, () => near.destroyed || undefined));
  });
  t.test("the search fails", async (t) => {
    const stream = new HandoverStream(() => Promise.reject(new Error("no server")));
    stream.connect();
    const [error] = (await once(stream, "error")) as [Error];
    t.equal(error.message, "no server");
    t.ok(stream.destroyed);
  });
  for (const how of ["resetAndDestroy", "end"] as const) {
    t.test(`the session dies on its way: ${how}`, async (t) => {
      const { near, far } = await socketPair(t);
      near.on("error", () => undefined);
      const gone = new Promise((resolve) => near.once(how === "end" ? "end" : "close", resolve));
      near.resume();
      far[how]();
      await gone;
      const found = { startup: createRecorder(), take: () => near, close: () => undefined };
      const stream = new HandoverStream(() => Promise.resolve(found));
      stream.connect();
      const [error] = (await once(stream, "error")) as [NodeJS.ErrnoException];
      if (how === "end") t.match(error, { reason: "closed" });
      else t.equal(error.code, "ECONNRESET");
    });
  }
});
t.test("what the socket says of itself is said, and settings reach it", async (t) => {
  const { near } = await socketPair(t);
  const calls: string[] = [];
  for (const name of ["ref", "unref", "setNoDelay", "setKeepAlive"] as const) {
    const real = near[name].bind(near) as (...words: unknown[]) => Socket;
    Object.assign(near, {
      [name]: (...words: unknown[]) => {
        calls.push([name, ...words].join(" "));
        return real(...words);
      },
    });
  }
  const found = { startup: createRecorder(), take: () => near, close: () => undefined };
  const stream = new HandoverStream(() => Promise.resolve(found));
  t.equal(stream.remoteAddress, undefined);
  t.equal(stream.unref().setNoDelay(true).setKeepAlive(true, 5), stream, "as a net.Socket");
  stream.connect();
  await once(stream, "connect");
  t.same(calls, ["setNoDelay true", "setKeepAlive true 5", "unref"], "what was said before");
  stream.ref();
  t.equal(calls.at(-1), "ref");
  t.equal(stream.remoteAddress, "127.0.0.1");
  t.equal(stream.remotePort, near.remotePort);
  t.equal(stream.encrypted, false);
  t.same(stream.getPeerCertificate(), {});
  stream.destroy();
});

t.test("a session that ended before it was taken is an error of who found it", async (t) => {
  const gone = new PassThrough();
  gone.on("error", () => undefined).destroy();
  const own = new Error("no server: the one that was found has gone");
  const stream = new HandoverStream(() =>
    Promise.resolve({
      startup: undefined,
      take: () => gone,
      close: () => undefined,
      lost: ({ reason }) => (reason === "closed" ? own : new Error(reason)),
    }),
  );
  const failed = new Promise((resolve) => stream.once("error", resolve));
  stream.connect();
  t.equal(await failed, own);
});
