/** What a change of primary is proven by: the control file, and the count of what an app was told. */
import t from "tap";
import type { Clock } from "../../kit/clock.ts";
import { parseLsn } from "../../kit/lsn.ts";
import { whyNotPromote } from "../../lab/change-primary.ts";
import type { StoppedPrimary } from "../../lab/change-primary.ts";
import { Tally } from "../../lab/tally.ts";

const old: StoppedPrimary = {
  systemIdentifier: "1",
  state: "shut down",
  checkpoint: parseLsn("0/50003A8"),
};
const promotions: readonly {
  name: string;
  old?: Partial<StoppedPrimary>;
  standby?: { systemIdentifier?: string; replayed?: string };
  want: RegExp | undefined;
}[] = [
  { name: "the standby has it all", want: undefined },
  {
    name: "the standby stands where the checkpoint starts",
    standby: { replayed: "0/50003A8" },
    want: /has not replayed/,
  },
  { name: "one byte before", standby: { replayed: "0/50003A7" }, want: /has not replayed/ },
  { name: "one byte past", standby: { replayed: "0/50003A9" }, want: undefined },
  { name: "another cluster", standby: { systemIdentifier: "2" }, want: /identifiers differ/ },
  { name: "the primary runs", old: { state: "in production" }, want: /says in production/ },
  { name: "it was shut down as a standby", old: { state: "shut down in recovery" }, want: /says/ },
  { name: "it crashed while it stopped", old: { state: "shutting down" }, want: /shutting down/ },
];
for (const row of promotions) {
  t.test(`promotion when ${row.name}`, async (t) => {
    const why = whyNotPromote(
      { ...old, ...row.old },
      {
        systemIdentifier: row.standby?.systemIdentifier ?? "1",
        replayed: parseLsn(row.standby?.replayed ?? "0/5000420"),
      },
    );
    if (row.want === undefined) t.equal(why, undefined);
    else t.match(why, row.want);
  });
}

interface TestClock extends Clock {
  time: number;
}

function clockAt(time: number): TestClock {
  return {
    time,
    now() {
      return this.time;
    },
    monotonic() {
      return this.time;
    },
    sleep: async () => undefined,
  };
}

t.test("the longest gap is over all connections, the longest stall on one", async (t) => {
  const clock = clockAt(1000);
  const tally = new Tally(clock, 2);
  const acknowledge = (time: number, worker: number, id: number): void => {
    clock.time = time;
    tally.acknowledged(worker, id, "127.10.0.1");
  };
  acknowledge(1010, 0, 1);
  acknowledge(1020, 1, 2);
  acknowledge(1050, 0, 3);
  acknowledge(1080, 0, 4);
  acknowledge(1090, 1, 5);
  const report = tally.report();
  t.equal(report.longestGapMs, 30);
  t.equal(report.longestStallMs, 70);
  t.strictSame(report.acknowledgedIds, [1, 2, 3, 4, 5]);
});

t.test("a gap that still lasts counts, also when nothing was ever acknowledged", async (t) => {
  const clock = clockAt(0);
  const tally = new Tally(clock, 1);
  clock.time = 500;
  t.equal(tally.report().longestGapMs, 500);
  t.equal(tally.report().longestStallMs, 500);
  tally.acknowledged(0, 1, "a");
  clock.time = 5000;
  t.equal(tally.report().longestGapMs, 4500);
});

t.test("failures are counted by kind, and are no acknowledgements", async (t) => {
  const clock = clockAt(0);
  const tally = new Tally(clock, 1);
  tally.statementFailed(7, Object.assign(new Error("read-only"), { code: "25006" }));
  tally.statementFailed(8, new Error("Connection terminated unexpectedly"));
  tally.connectFailed(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
  tally.connectFailed(new Error("timeout expired"));
  tally.connectFailed(new Error("timeout expired"));
  const report = tally.report();
  t.strictSame(report.failedIds, [7, 8]);
  t.strictSame(report.acknowledgedIds, []);
  t.equal(report.failedConnects, 3);
  t.strictSame(report.failures, { "25006": 1, lost: 1, ECONNREFUSED: 1, timeout: 2 });
});

t.test("each node's acknowledgements, with the first and the last", async (t) => {
  const clock = clockAt(0);
  const tally = new Tally(clock, 1);
  for (const [time, node] of [
    [10, "old"],
    [20, "old"],
    [900, "new"],
    [950, "new"],
    [960, "new"],
  ] as const) {
    clock.time = time;
    tally.acknowledged(0, time, node);
  }
  t.strictSame(tally.report().nodes, {
    old: { acknowledged: 2, firstAt: 10, lastAt: 20 },
    new: { acknowledged: 3, firstAt: 900, lastAt: 960 },
  });
});
