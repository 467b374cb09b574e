/** The stream that pg gets: what it swallows, what it answers, and what it passes on. */
import { once } from "node:events";
import type { Socket } from "node:net";
import t from "tap";
import type { Test } from "tap";
import { HandoverStream } from "../../client/session/handover.ts";
import type { Handover } from "../../client/session/handover.ts";
import { createRecorder } from "../../client/session/recording.ts";
import { createFramer } from "../../client/session/wire.ts";
import { eventually } from "../../kit/clock.ts";
import { greeting, say } from "../support/fake-postgres.ts";
import { socketPair } from "../support/socket-pair.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };
/** A startup message as pg writes it: its length, 3.0, names and values. */
const startup = Buffer.concat([
  Buffer.from([0, 0, 0, 18, 0, 3, 0, 0]),
  Buffer.from("user\0app\0\0"),
]);

function recorded(bytes: Buffer): ReturnType<typeof createRecorder> {
  const recorder = createRecorder();
  const framer = createFramer();
  framer.feed(bytes);
  for (let one = framer.next(); one !== undefined; one = framer.next()) recorder.note(one);
  return recorder;
}

/** Collects what a stream says. */
function ear(stream: NodeJS.ReadableStream): {
  bytes: () => Buffer;
  text: () => string;
  size: () => number;
} {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    size += chunk.length;
    chunks.push(chunk);
  });
  const bytes = (): Buffer => Buffer.concat(chunks);
  return { bytes, text: () => bytes().toString("latin1"), size: () => size };
}

interface Held {
  readonly stream: HandoverStream;
  readonly near: Socket;
  readonly far: Socket;
  readonly heard: ReturnType<typeof ear>;
  readonly errors: Error[];
  isClosedBy: "nobody" | "close";
}

/** A stream that has been handed a session, as pg holds it; `greeted` once the startup is answered. */
async function held(t: Test, options: { greeted: boolean; raw?: boolean }): Promise<Held> {
  const { near, far } = await socketPair(t);
  const found: Handover = {
    startup: options.raw === true ? undefined : recorded(greeting),
    take: () => near,
    close: () => near.destroy(),
  };
  const stream = new HandoverStream(() => Promise.resolve(found));
  const errors: Error[] = [];
  stream.on("error", (error: Error) => errors.push(error));
  const heard = ear(stream);
  const one: Held = { stream, near, far, heard, errors, isClosedBy: "nobody" };
  stream.on("close", () => {
    one.isClosedBy = "close";
  });
  stream.connect();
  await once(stream, "connect");
  if (options.greeted) {
    stream.write(startup);
    await eventually("the greeting", soon, () => heard.size() > 0 || undefined);
  }
  return one;
}

t.test("the startup message is swallowed wherever it is cut, and nothing else", async (t) => {
  const behind = Buffer.from("Q\0\0\0\rSELECT 1\0");
  const all = Buffer.concat([startup, behind]);
  for (let at = 0; at <= all.length; at += 1) {
    const { stream, near, far, heard } = await held(t, { greeted: false });
    const seen = ear(far);
    stream.write(all.subarray(0, at));
    if (at < startup.length && heard.size() > 0) t.fail(`answered too early, cut at ${at}`);
    stream.write(all.subarray(at));
    await eventually("the query", soon, () => seen.size() >= behind.length || undefined);
    if (!seen.bytes().equals(behind)) t.fail(`cut at ${at}: ${seen.text()}`);
    if (!heard.bytes().equals(recorded(greeting).replay())) t.fail(`replay, cut at ${at}`);
    near.destroy();
  }
  t.pass("every cut");
});

t.test("what the server says meanwhile comes behind the answer", async (t) => {
  const { stream, far, heard } = await held(t, { greeted: false });
  const news = Buffer.concat([say.parameter("TimeZone", "CET"), say.notification("c", "p")]);
  far.write(news);
  await eventually("the news lie there", soon, () => far.bytesWritten > 0 || undefined);
  t.equal(heard.text(), "", "pg hears nothing before it has asked");
  stream.write(startup);
  const want = Buffer.concat([recorded(greeting).replay(), news]);
  await eventually("all", soon, () => heard.size() >= want.length || undefined);
  t.same(heard.bytes(), want);
});

t.test("a cancel request passes as it is", async (t) => {
  const { stream, far, heard } = await held(t, { greeted: false, raw: true });
  const seen = ear(far);
  const request = Buffer.from([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]);
  stream.write(request);
  await eventually("the request", soon, () => seen.size() >= 16 || undefined);
  t.same(seen.bytes(), request);
  t.equal(heard.text(), "");
});

t.test("both ways, and no more in memory than a socket would hold", async (t) => {
  const { stream, near, far, heard } = await held(t, { greeted: true });
  const before = heard.size();
  const piece = Buffer.alloc(64 * 1024, "x");
  const pieces = 400;
  const all = pieces * piece.length;

  stream.pause();
  for (let count = 0; count < pieces; count += 1) far.write(piece);
  await eventually("the near side is full", soon, () => near.isPaused() || undefined);
  t.ok(stream.readableLength < 1024 * 1024, `${stream.readableLength} bytes wait here`);
  t.ok(far.writableLength > all / 4, "the other side holds the rest");
  stream.resume();
  await eventually("all of it", soon, () => heard.size() - before === all || undefined);

  far.pause();
  let written = 0;
  let isFull = false;
  while (!isFull && written < pieces) {
    isFull = !stream.write(piece);
    written += 1;
    await new Promise((resolve) => process.nextTick(resolve));
  }
  t.ok(isFull, "the writer is told to wait");
  t.ok(written < pieces, `after ${written} pieces of ${pieces}`);
  const seen = ear(far);
  const drained = once(stream, "drain");
  far.resume();
  await drained;
  stream.cork();
  for (let count = written; count < pieces; count += 1) stream.write(piece);
  stream.uncork();
  await eventually("all of it there", soon, () => seen.size() === all || undefined);
  t.ok(seen.bytes().equals(Buffer.alloc(all, "x")));
});

t.test("what is written in one turn goes out together", async (t) => {
  const { stream, near, far } = await held(t, { greeted: true });
  const seen = ear(far);
  const writes: number[] = [];
  const write = near.write.bind(near);
  near.write = (chunk: Buffer) => {
    writes.push(chunk.length);
    return write(chunk);
  };
  stream.cork();
  for (const word of ["parse", "bind", "execute", "sync"]) stream.write(word);
  stream.uncork();
  await eventually("all", soon, () => seen.text() === "parsebindexecutesync" || undefined);
  t.same(writes, [20]);
});
t.test("the end of a session is that of a plain socket", async (t) => {
  t.test("the server closes", async (t) => {
    const one = await held(t, { greeted: true });
    one.far.end(say.error("57P01", "terminating connection"));
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.match(one.heard.text(), "57P01", "its last words are heard");
    t.same(one.errors, []);
    t.ok(one.near.destroyed);
  });
  t.test("the server closes while nobody reads", async (t) => {
    const one = await held(t, { greeted: true });
    one.stream.pause();
    one.far.end(Buffer.alloc(300_000, "y"));
    await eventually("some of it", soon, () => one.stream.readableLength > 0 || undefined);
    one.stream.resume();
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.equal(one.heard.text().match(/y/g)?.length, 300_000, "every byte is read before the end");
  });
  t.test("the connection is reset", async (t) => {
    const one = await held(t, { greeted: true });
    one.far.resetAndDestroy();
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.match(one.errors, [{ code: "ECONNRESET" }]);
  });
  t.test("we end", async (t) => {
    const one = await held(t, { greeted: true });
    const seen = ear(one.far);
    one.far.on("end", () => one.far.end());
    one.stream.write("X", () => one.stream.end());
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.equal(seen.text(), "X", "Terminate comes through");
    t.same(one.errors, []);
  });
  t.test("we destroy", async (t) => {
    const one = await held(t, { greeted: true });
    one.stream.destroy(new Error("enough"));
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.match(one.errors, [{ message: "enough" }]);
    t.ok(one.near.destroyed);
  });
  t.test("we destroy while the server does not read", async (t) => {
    const one = await held(t, { greeted: true });
    one.far.pause();
    const piece = Buffer.alloc(1024 * 1024, "z");
    const results: unknown[] = [];
    while (one.stream.write(piece, (error) => results.push(error ?? "written"))) {
      if (results.length > 400) throw new Error("it never fills");
      await new Promise((resolve) => process.nextTick(resolve));
    }
    one.stream.destroy();
    await eventually("the end", soon, () => one.isClosedBy === "close" || undefined);
    t.type(results.at(-1), Error, "whoever waits for a write is told");
    t.same(one.errors, []);
  });
});
