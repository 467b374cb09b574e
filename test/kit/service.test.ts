/** The life of a service: ready, stopped by a signal, and the ways in which that goes wrong. */
import { EventEmitter } from "node:events";
import t from "tap";
import { DeadlineError, nextTurn } from "../../kit/clock.ts";
import { runService } from "../../kit/service.ts";

function life(stopDeadlineMs = 5000) {
  const signals = new EventEmitter();
  const told: string[] = [];
  const logger = { info: (_: unknown, text: string) => void told.push(text) };
  return { signals, told, options: { name: "test", stopDeadlineMs, logger, signals } };
}

const forEver = (): Promise<never> => new Promise<never>(() => undefined);

for (const signal of ["SIGTERM", "SIGINT"]) {
  t.test(`${signal} stops a service that is ready`, async (t) => {
    const { signals, told, options } = life();
    const done: string[] = [];
    const running = runService(async () => {
      done.push("start");
      return {
        stop: async () => {
          await nextTurn();
          done.push("stop");
        },
      };
    }, options);
    await nextTurn();
    t.strictSame(done, ["start"], "it runs until it is asked");
    signals.emit(signal);
    await running;
    t.strictSame(done, ["start", "stop"]);
    t.strictSame(told, ["test is ready", `test stops: ${signal}`]);
    t.strictSame(signals.eventNames(), [], "nothing listens any more");
  });
}

t.test("a signal during the start ends the start", async (t) => {
  const { signals, told, options } = life();
  const running = runService(async (signal) => {
    signals.emit("SIGTERM");
    signal.throwIfAborted();
    return { stop: forEver };
  }, options);
  await running;
  t.strictSame(told, [], "it never was ready");
});

t.test("a start that finishes in spite of the signal is stopped", async (t) => {
  const { signals, options } = life();
  let stopped = 0;
  await runService(async () => {
    signals.emit("SIGINT");
    return {
      stop: async () => {
        stopped += 1;
      },
    };
  }, options);
  t.equal(stopped, 1);
});

t.test("what start throws comes out", async (t) => {
  const { signals, options } = life();
  const running = runService(() => Promise.reject(new Error("planted")), options);
  await t.rejects(running, { message: "planted" });
  t.strictSame(signals.eventNames(), []);
});

t.test("what stop throws comes out", async (t) => {
  const { signals, options } = life();
  const stop = (): Promise<void> => Promise.reject(new Error("planted"));
  const running = runService(async () => ({ stop }), options);
  signals.emit("SIGTERM");
  await t.rejects(running, { message: "planted" });
});

t.test("a stop that takes too long is a failure", async (t) => {
  const { signals, options } = life(10);
  const running = runService(async () => ({ stop: forEver }), options);
  signals.emit("SIGTERM");
  await t.rejects(running, DeadlineError);
});

t.test("a second signal ends the wait", async (t) => {
  const { signals, options } = life(60_000);
  const { promise: stopping, resolve } = Promise.withResolvers<void>();
  const stop = (): Promise<never> => {
    resolve();
    return forEver();
  };
  const running = runService(async () => ({ stop }), options);
  signals.emit("SIGTERM");
  const rejected = t.rejects(running, { code: "ERR_STOP_INTERRUPTED", message: /SIGINT/ });
  await stopping;
  signals.emit("SIGINT");
  await rejected;
});
