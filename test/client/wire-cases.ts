/** Framing of what a server says, cut at every byte, and what is recorded of a startup. */
import t from "tap";
import { createRecorder } from "../../client/session/recording.ts";
import { createFramer, startupLength } from "../../client/session/wire.ts";
import type { BackendMessage } from "../../client/session/wire.ts";
import { backend, greeting, say } from "../support/fake-postgres.ts";

const transcript = Buffer.concat([
  say.ok,
  say.parameter("TimeZone", "UTC"),
  say.notice("a collation has another version"),
  say.parameter("application_name", "first"),
  say.key(4711, 42),
  say.ready,
  say.row("false", "off"),
  say.ready,
  say.parameter("application_name", "second"),
]);
const types = "RSNSKZTDCZS";

/** What comes of the transcript when it is cut at these places. */
function cut(at: number): readonly BackendMessage[] {
  const framer = createFramer();
  return [transcript.subarray(0, at), transcript.subarray(at)].flatMap((chunk) => {
    framer.feed(chunk);
    const messages: BackendMessage[] = [];
    for (let one = framer.next(); one !== undefined; one = framer.next()) messages.push(one);
    return messages;
  });
}

t.test("messages come out whole, wherever the bytes are cut", (t) => {
  for (let at = 0; at <= transcript.length; at += 1) {
    const messages = cut(at);
    if (messages.map(({ type }) => type).join("") !== types) t.fail(`cut at ${at}`);
    if (!Buffer.concat(messages.map(({ bytes }) => bytes)).equals(transcript)) {
      t.fail(`bytes are lost, cut at ${at}`);
    }
  }
  const framer = createFramer();
  for (const byte of transcript.subarray(0, -1)) framer.feed(Buffer.from([byte]));
  const seen: string[] = [];
  for (let one = framer.next(); one !== undefined; one = framer.next()) seen.push(one.type);
  t.equal(seen.join(""), types.slice(0, -1), "byte by byte");
  const lastOne = say.parameter("application_name", "second").length;
  t.same(framer.rest(), transcript.subarray(-lastOne, -1), "the rest is given back");
  t.equal(framer.rest().length, 0, "once");
  t.end();
});

t.test("what is not Postgres is known by its first bytes", (t) => {
  const table = [
    { name: "a web server", given: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") },
    { name: "an SSH server", given: Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n") },
    { name: "a length of nothing", given: Buffer.from([82, 0, 0, 0, 3, 0]) },
    { name: "a negative length", given: Buffer.from([82, 255, 255, 255, 255, 0]) },
    { name: "a length without end", given: Buffer.from([82, 0, 16, 0, 1]) },
  ];
  for (const { name, given } of table) {
    const framer = createFramer();
    framer.feed(given);
    t.throws(() => framer.next(), { code: "ERR_PROTOCOL" }, name);
  }
  const framer = createFramer();
  framer.feed(Buffer.from("HTTP"));
  t.equal(framer.next(), undefined, "four bytes tell nothing");
  t.equal(startupLength(Buffer.from([0, 0, 0])), undefined);
  t.equal(startupLength(Buffer.from([0, 0, 1, 2, 9])), 258);
  t.end();
});

t.test("a replay has the newest of all, once, in the order of a server", (t) => {
  const recorder = createRecorder();
  const framer = createFramer();
  framer.feed(transcript);
  for (let one = framer.next(); one !== undefined; one = framer.next()) recorder.note(one);
  const want = [
    say.ok,
    say.parameter("TimeZone", "UTC"),
    say.parameter("application_name", "second"),
    say.notice("a collation has another version"),
    say.key(4711, 42),
    say.ready,
  ];
  t.same(recorder.replay(), Buffer.concat(want));
  t.same(
    [...recorder.parameters],
    [
      ["TimeZone", "UTC"],
      ["application_name", "second"],
    ],
  );
  t.end();
});

t.test("a recording is bounded, and keeps no byte of what it was given", (t) => {
  const recorder = createRecorder();
  const chunk = Buffer.from(greeting);
  const framer = createFramer();
  framer.feed(chunk);
  for (let one = framer.next(); one !== undefined; one = framer.next()) recorder.note(one);
  const before = recorder.replay();
  chunk.fill(0);
  t.same(recorder.replay(), before, "the socket may use its memory again");
  const long = "x".repeat(1000);
  for (let count = 0; count < 1000; count += 1) {
    recorder.note({ type: "N", bytes: say.notice(long) });
    recorder.note({ type: "S", bytes: say.parameter("p", String(count)) });
  }
  t.ok(recorder.replay().length < 70_000, "a thousand notices do not stay");
  t.equal(recorder.parameters.get("p"), "999", "the newest value does");
  recorder.note({ type: "D", bytes: backend("D", "secret") });
  t.notOk(recorder.replay().includes("secret"), "rows are nobody's business");
  t.same(createRecorder().replay(), Buffer.concat([say.ok, say.ready]), "a pooler may give no key");
  t.end();
});
