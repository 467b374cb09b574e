/** The kit: time, LSNs, whole files, children, templates. */
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Counter, Gauge, Registry } from "prom-client";
import t from "tap";
import { writeFileAtomically } from "../../kit/atomic-file.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import { DeadlineError, eventually, systemClock, withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { formatLsn, lsnDistance, parseLsn } from "../../kit/lsn.ts";
import { metricsContentType, metricsText } from "../../kit/metrics-text.ts";
import type { Metric } from "../../kit/metrics-text.ts";
import { renderTemplate, TemplateError } from "../../kit/template.ts";

t.test("LSNs: read, written, subtracted", (t) => {
  const cases: readonly { text: string; bytes: bigint }[] = [
    { text: "0/0", bytes: 0n },
    { text: "0/1", bytes: 1n },
    { text: "16/B374D848", bytes: 0x16_b374_d848n },
    { text: "1/0", bytes: 1n << 32n },
    { text: "FFFFFFFF/FFFFFFFF", bytes: (1n << 64n) - 1n },
  ];
  for (const { text, bytes } of cases) {
    t.equal(parseLsn(text), bytes, text);
    t.equal(formatLsn(bytes), text);
    t.equal(parseLsn(text.toLowerCase()), bytes, "PostgreSQL takes lower case too");
  }
  for (const text of ["", "/", "0", "0/", "/0", "0/0/0", "0/G", "123456789/0", " 0/0", "0/0\n"]) {
    t.throws(() => parseLsn(text), TypeError, JSON.stringify(text));
  }
  t.equal(lsnDistance(parseLsn("1/10"), parseLsn("0/FFFFFFF0")), 32);
  t.equal(lsnDistance(parseLsn("0/FFFFFFF0"), parseLsn("1/10")), -32);
  t.end();
});

/** A clock whose time passes only while somebody sleeps; it keeps the sleeps. */
function sleepyClock(): Clock & { readonly sleeps: number[] } {
  let time = 1000;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => time,
    monotonic: () => time,
    sleep: (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      time += ms;
      return Promise.resolve();
    },
  };
}

t.test("eventually", async (t) => {
  const options = { deadlineMs: 100, intervalMs: 30 };
  await t.test("returns the first thing seen, falsy ones too", async (t) => {
    const clock = sleepyClock();
    let looks = 0;
    const seen = await eventually("x", { ...options, clock }, () => {
      looks += 1;
      return looks < 3 ? undefined : false;
    });
    t.equal(seen, false);
    t.same(clock.sleeps, [30, 30]);
  });
  await t.test("says what it waited for, and why not, when it gives up", async (t) => {
    const clock = sleepyClock();
    const cause = new Error("refused");
    const failing = eventually("a primary", { ...options, clock }, () => Promise.reject(cause));
    const error: unknown = await failing.catch((thrown: unknown) => thrown);
    const message = "a primary: no answer within 100 ms (refused)";
    t.match(error, { code: "ERR_DEADLINE", message, cause });
    t.same(clock.sleeps, [30, 30, 30, 30]);
  });
  await t.test("an old error is not the cause when later looks saw nothing", async (t) => {
    let looks = 0;
    const given = eventually("x", { ...options, clock: sleepyClock() }, () => {
      looks += 1;
      if (looks === 1) throw new Error("only once");
      return undefined;
    });
    const error = await given.catch((thrown: unknown) => thrown);
    t.equal((error as DeadlineError).cause, undefined);
  });
  await t.test("gives up on a look that does not end, and tells it", async (t) => {
    let seen: AbortSignal | undefined;
    const deaf = eventually("x", { deadlineMs: 1, intervalMs: 1 }, (signal) => {
      seen = signal;
      return new Promise<undefined>(() => undefined);
    });
    await t.rejects(deaf, { code: "ERR_DEADLINE", deadlineMs: 1 });
    t.equal(seen?.aborted, true);
  });
  await t.test("stops when it is told to", async (t) => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    const clock = sleepyClock();
    await t.rejects(
      eventually("x", { ...options, clock, signal }, () => undefined),
      reason,
    );
    t.same(clock.sleeps, []);
  });
});

t.test("withDeadline", async (t) => {
  const never = (signal: AbortSignal): Promise<never> => systemClock.sleep(60_000, signal) as never;
  await t.test("gives the result, and leaves no timer behind that aborts", async (t) => {
    let seen: AbortSignal | undefined;
    const value = await withDeadline("x", 1, (signal) => {
      seen = signal;
      return Promise.resolve("done");
    });
    await systemClock.sleep(5);
    t.equal(value, "done");
    t.equal(seen?.aborted, false);
  });
  await t.test("gives up on work that takes too long, and tells it", async (t) => {
    let seen: AbortSignal | undefined;
    const work = withDeadline("ask the peer", 1, (signal) => {
      seen = signal;
      return never(signal);
    });
    await t.rejects(work, { code: "ERR_DEADLINE", message: "ask the peer: no answer within 1 ms" });
    t.equal(seen?.aborted, true);
  });
  await t.test("gives an answer that came in time to a process that was held up", async (t) => {
    const peer = createServer((socket) => void socket.end("answer"));
    await once(peer.listen(0, "127.0.0.1"), "listening");
    t.teardown(() => peer.close());
    const { port } = peer.address() as AddressInfo;
    const answer = withDeadline("ask the peer", 500, async () => {
      const socket = connect(port, "127.0.0.1");
      const [text] = (await once(socket, "data")) as [Buffer];
      return text.toString("utf8");
    });
    const end = systemClock.monotonic() + 1000;
    while (systemClock.monotonic() < end);
    t.equal(await answer, "answer");
  });
  await t.test("gives up on work that does not listen", async (t) => {
    const deaf = withDeadline("x", 1, () => new Promise<void>(() => undefined));
    await t.rejects(deaf, DeadlineError);
  });
  await t.test("ends with the outer signal's reason, before and during the work", async (t) => {
    const reason = new Error("Ctrl-C");
    let started = 0;
    const before = withDeadline("x", 60_000, never, AbortSignal.abort(reason));
    await t.rejects(before, reason);
    const controller = new AbortController();
    const during = withDeadline(
      "x",
      60_000,
      (signal) => {
        started += 1;
        queueMicrotask(() => controller.abort(reason));
        return never(signal);
      },
      controller.signal,
    );
    await t.rejects(during, reason);
    t.equal(started, 1);
  });
  await t.test("passes on the work's own error", async (t) => {
    const own = new Error("own");
    await t.rejects(
      withDeadline("x", 60_000, () => Promise.reject(own)),
      own,
    );
  });
});

t.test("a file is replaced as a whole", async (t) => {
  const folder = t.testdir({ file: "old" });
  const file = join(folder, "file");
  await chmod(file, 0o644);
  const before = process.umask(0o077);
  t.teardown(() => process.umask(before));
  await writeFileAtomically(file, "new", { mode: 0o640 });
  t.equal(await readFile(file, "utf8"), "new");
  t.equal((await stat(file)).mode & 0o777, 0o640, "the mode that was asked for, not the umask's");
  await mkdir(join(folder, "taken"));
  await writeFile(join(folder, "taken", "x"), "");
  await t.rejects(writeFileAtomically(join(folder, "taken"), "x", { mode: 0o600 }));
  await t.rejects(writeFileAtomically(join(folder, "none", "x"), "x", { mode: 0o600 }), {
    code: "ENOENT",
  });
  t.same((await readdir(folder)).toSorted(), ["file", "taken"], "no neighbour file is left");
});

t.test("readers of a file that is replaced see one content or the other", async (t) => {
  const file = join(t.testdir({ file: "" }), "file");
  const contents = ["a", "b"].map((letter) => letter.repeat(200_000));
  await writeFileAtomically(file, contents[0] ?? "", { mode: 0o600 });
  const writer = { done: false };
  const write = async (): Promise<void> => {
    for (let round = 1; round < 40; round += 1) {
      await writeFileAtomically(file, contents[round % 2] ?? "", { mode: 0o600 });
    }
    writer.done = true;
  };
  const read = async (): Promise<Set<string>> => {
    const seen = new Set<string>();
    while (!writer.done) seen.add(await readFile(file, "utf8"));
    return seen;
  };
  const [, seen] = await Promise.all([write(), read()]);
  t.ok(seen.size > 0);
  for (const content of seen)
    t.ok(contents.includes(content), `${content.length} bytes, one letter`);
});

t.test("children", async (t) => {
  const sh = (script: string, more: object = {}) =>
    runChild("sh", ["-c", script], { deadlineMs: 20_000, ...more });
  t.same(await sh("echo out; echo err >&2"), { code: 0, stdout: "out\n", stderr: "err\n" });
  t.same(await sh("cat", { input: "é in" }), { code: 0, stdout: "é in", stderr: "" });
  t.same(await sh("exit 3", { accept: [0, 3] }), { code: 3, stdout: "", stderr: "" });
  t.same(await sh("exit 0", { input: "x".repeat(1_000_000) }), { code: 0, stdout: "", stderr: "" });
  t.equal((await sh('echo "$A$HOME"', { env: { A: "b" } })).stdout, "b\n", "no other variables");
  await t.rejects(sh("echo no >&2; exit 3"), {
    code: "ERR_CHILD_FAILED",
    exitCode: 3,
    message: "sh -c echo no >&2; exit 3: exit code 3: no",
  });
  await t.rejects(sh("kill -TERM $$"), { message: /ended by SIGTERM: it printed nothing$/ });
  await t.rejects(runChild("/none/such", [], { deadlineMs: 20_000 }), {
    code: "ERR_CHILD_START",
    message: /^\/none\/such: .*ENOENT/,
  });
  const most = 16 * 1024 * 1024;
  const large = await sh(`head -c ${most} /dev/zero`);
  t.equal(large.stdout.length, most, "up to the limit, nothing is lost");
  for (const where of ["", ">&2"]) {
    const flood = sh(`exec head -c ${most + 1} /dev/zero ${where}`);
    await t.rejects(flood, {
      code: "ERR_CHILD_OUTPUT",
      message: /^sh -c .*: it printed more than 16 MiB$/,
    });
  }
  const endless = runChild("cat", ["/dev/zero"], { deadlineMs: 60_000 });
  await t.rejects(endless, { code: "ERR_CHILD_OUTPUT" }, "and it is ended");
  const long = await sh("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1").catch(
    (error: unknown) => error as ChildError,
  );
  t.ok(long instanceof ChildError && long.message.length < 2200 && long.message.endsWith("xend"));
});

t.test("a child that does not want to end is killed", async (t) => {
  const folder = t.testdir({});
  const script = `trap '' TERM; echo $$ > ${folder}/new; mv ${folder}/new ${folder}/pid; exec sleep 60`;
  const controller = new AbortController();
  const reason = new Error("Ctrl-C");
  const child = runChild("sh", ["-c", script], { deadlineMs: 60_000, signal: controller.signal });
  const ended = t.rejects(child, reason);
  const wait = { deadlineMs: 20_000, intervalMs: 10 };
  const pid = Number(
    await eventually("it runs", wait, () => readFile(join(folder, "pid"), "utf8")),
  );
  controller.abort(reason);
  await ended;
  await eventually("it is gone", wait, () => (isThere(pid) ? undefined : true));
  await t.rejects(runChild("sleep", ["60"], { deadlineMs: 1 }), {
    code: "ERR_DEADLINE",
    message: "sleep 60: no answer within 1 ms",
  });
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

t.test("templates", (t) => {
  const rendered: readonly { template: string; model: Record<string, unknown>; want: string }[] = [
    { template: "{{a}}", model: { a: "10.0.0.0/8 & <\"'`=" }, want: "10.0.0.0/8 & <\"'`=" },
    { template: "{{a}}{{b}}", model: { a: 0, b: false }, want: "0false" },
    {
      template: "{{#l}}{{n}}{{o}};{{/l}}",
      model: { l: [{ n: 1 }, { n: 2 }], o: "x" },
      want: "1x;2x;",
    },
    { template: "{{#l}}{{.}},{{/l}}", model: { l: ["a", "b"] }, want: "a,b," },
    { template: "{{#y}}yes{{/y}}{{^y}}no{{/y}}", model: { y: false }, want: "no" },
    { template: "{{a.b}}", model: { a: { b: "deep" } }, want: "deep" },
    { template: "{{! a remark }}x", model: {}, want: "x" },
  ];
  for (const { template, model, want } of rendered) {
    t.equal(renderTemplate(template, model), want, template);
  }
  const refused: readonly { template: string; model: Record<string, unknown> }[] = [
    { template: "{{a}}", model: {} },
    { template: "{{a}}", model: { a: undefined } },
    { template: "{{a}}", model: { a: null } },
    { template: "{{a}}", model: { a: {} } },
    { template: "{{a}}", model: { a: () => "x" } },
    { template: "{{a.b}}", model: { a: {} } },
    { template: "{{constructor}}", model: {} },
    { template: "{{#l}}{{n}}{{/l}}", model: { l: [{ n: 1 }, {}] } },
    { template: "{{#l}}{{n}}{{/l}}", model: {} },
    { template: "{{^y}}{{n}}{{/y}}", model: { y: false } },
    { template: "{{>part}}", model: { part: "x" } },
  ];
  for (const { template, model } of refused) {
    t.throws(() => renderTemplate(template, model), TemplateError, template);
  }
  t.end();
});

t.test("metrics are told as prom-client tells them", async (t) => {
  const registry = new Registry();
  const registers = [registry];
  const name = "switchyard_test_addresses";
  const help = 'a \\ and "two"\nlines';
  const labels = [{ at: '1\\2"3"\n4', name: "" }, { at: "é" }];
  const gauge = new Gauge({ name, help, labelNames: ["at", "name"], registers });
  for (const [index, one] of labels.entries()) gauge.set(one, index / 3);
  const plain = { name: "switchyard_test_total", help: "Things" };
  new Counter({ ...plain, registers }).inc(2 ** 40);
  const empty = { name: "switchyard_test_none", help: "Nothing yet" };
  const none = new Gauge({ ...empty, labelNames: ["at"], registers });
  const values = labels.map((one, index) => ({ labels: one, value: index / 3 }));
  const ours: Metric[] = [
    { name, help, kind: "gauge", values },
    { ...plain, kind: "counter", values: [{ value: 2 ** 40 }] },
    { ...empty, kind: "gauge", values: [] },
  ];
  t.equal(metricsText(ours), await registry.metrics());
  t.same((await none.get()).values, []);
  t.equal(metricsContentType, registry.contentType);
});
