/** What a finder remembers, with time in hand. */
import t from "tap";
import type { AttemptReason } from "../../client/errors.ts";
import { createMemory } from "../../client/search/memory.ts";
import type { Memory } from "../../client/search/memory.ts";

function made(): { memory: Memory<string>; pass: (ms: number) => void } {
  let now = 0;
  const memory = createMemory<string>({ now: () => now, keyOf: (address) => address });
  return {
    memory,
    pass: (ms) => {
      now += ms;
    },
  };
}

t.test("a penalty doubles from one second to half a minute, and a success ends it", (t) => {
  const { memory, pass } = made();
  for (const ms of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    memory.penalise("a");
    // While it lasts another failure adds nothing: twenty clients fail at the same time.
    memory.penalise("a");
    pass(ms - 1);
    t.ok(memory.isPenalised("a"), `until ${ms}`);
    pass(1);
    t.notOk(memory.isPenalised("a"), `after ${ms}`);
  }
  memory.penalise("a");
  memory.remember("target", { address: "a", pass: 0, ms: 3 });
  t.notOk(memory.isPenalised("a"));
  memory.penalise("a");
  pass(1000);
  t.notOk(memory.isPenalised("a"), "it begins anew");
  t.end();
});

const outcomes: Readonly<Record<AttemptReason, readonly [isPenalised: boolean, isKnown: boolean]>> =
  {
    dns: [false, false],
    refused: [true, false],
    unreachable: [true, false],
    timeout: [true, false],
    tls: [true, false],
    closed: [true, false],
    protocol: [true, false],
    authentication: [false, false],
    role: [false, false],
    server: [false, false],
    starting: [false, true],
    full: [false, true],
  };

t.test("what each failure does to who passed last", (t) => {
  for (const [reason, [isPenalised, isKnown]] of Object.entries(outcomes)) {
    const { memory } = made();
    memory.remember("writes", { address: "a", pass: 0, ms: 3 });
    memory.remember("reads", { address: "a", pass: 0, ms: 3 });
    memory.failed("writes", "a", reason as AttemptReason);
    t.equal(memory.isPenalised("a"), isPenalised, reason);
    t.equal(memory.winner("writes") !== undefined, isKnown, reason);
    t.equal(memory.winner("reads") !== undefined, !isPenalised, `${reason}, for another target`);
  }
  t.end();
});

t.test("who answers is not dead any more", (t) => {
  const { memory } = made();
  memory.penalise("a");
  memory.failed("writes", "a", "role");
  t.notOk(memory.isPenalised("a"));
  t.end();
});

t.test("the winner is one object until something changes", (t) => {
  const { memory } = made();
  const first = memory.remember("writes", { address: "a", pass: 0, ms: 3 });
  t.equal(memory.remember("writes", { address: "a", pass: 0, ms: 9 }), first);
  t.equal(memory.winner("writes"), first);
  t.not(memory.remember("writes", { address: "b", pass: 0, ms: 3 }), first);
  memory.forget("a");
  t.equal(memory.winner("writes")?.address, "b", "another may be forgotten");
  memory.forget("b", "reads");
  t.equal(memory.winner("writes")?.address, "b", "for another target");
  memory.forget("b");
  t.equal(memory.winner("writes"), undefined);
  t.end();
});

t.test("a name that gives new addresses for ever does not fill the memory", (t) => {
  const { memory } = made();
  for (let n = 0; n < 1500; n += 1) memory.penalise(`address ${n}`);
  t.notOk(memory.isPenalised("address 0"));
  t.ok(memory.isPenalised("address 1499"));
  t.end();
});
