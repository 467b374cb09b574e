/** The judgement, and what it is made of: samples as Postgres tells them, a pooler's state. */
import t from "tap";
import { assess } from "../../../sidecars/pg-health/assess.ts";
import type { Knowledge } from "../../../sidecars/pg-health/assess.ts";
import { answerWords } from "../../../sidecars/pg-health/contract.ts";
import type { Row } from "../../../sidecars/pg-health/connection.ts";
import { stateOf } from "../../../sidecars/pg-health/pooler.ts";
import type { PoolerView } from "../../../sidecars/pg-health/pooler.ts";
import { promotionSql, readSample, SampleError } from "../../../sidecars/pg-health/sample.ts";
import type { Sample } from "../../../sidecars/pg-health/sample.ts";
import { nextSelf } from "../../../sidecars/pg-health/self.ts";

const primary: Sample = {
  role: "primary",
  readOnly: false,
  systemIdentifier: "7710476093781296720",
  timeline: 1,
  startedAt: "2026-01-01T00:00:00.000001Z",
  writeLsn: 100n,
  receiveLsn: null,
  replayLsn: null,
  upstreamLsn: null,
  streaming: null,
  receiverSilentMs: null,
  receiverTimeoutMs: 60_000,
  replayedAgeMs: null,
};
const standby: Sample = {
  ...primary,
  role: "standby",
  writeLsn: null,
  receiveLsn: 90n,
  replayLsn: 80n,
};
const policy = { slowGraceMs: 3000, slowAfterMs: 90 };
const now = 100_000;

function knowing(sample: Sample | null, change: Partial<Knowledge> = {}, ageMs = 10): Knowledge {
  return {
    link: { state: "up", reason: "" },
    sample: sample && { sample, askedAt: now - ageMs - 1, answeredAt: now - ageMs },
    askedSince: null,
    doorSilentSince: null,
    poolerDead: null,
    awaitedPeers: [],
    verdict: { word: "clear", reason: "" },
    ...change,
  };
}

const full = { state: "full", reason: "sorry, too many clients already" } as const;
const down = { state: "down", reason: "ECONNREFUSED" } as const;
const lost = { state: "lost", reason: "ECONNRESET" } as const;
const url = "http://10.0.0.2:8008";

t.test("from knowledge to an answer", async (t) => {
  const rows: { name: string; given: Knowledge; want: string }[] = [
    { name: "nothing is known", given: knowing(null), want: "unreachable" },
    { name: "a primary", given: knowing(primary), want: "primary" },
    { name: "a standby", given: knowing(standby), want: "standby" },
    {
      name: "a writable role that takes no writes",
      given: knowing({ ...primary, readOnly: true }),
      want: "read-only",
    },
    {
      name: "an old answer that nobody asked to renew is not slow",
      given: knowing(primary, {}, 499),
      want: "primary",
    },
    {
      name: "a probe just put is not slow",
      given: knowing(primary, { askedSince: now - 89 }, 600),
      want: "primary",
    },
    {
      name: "a probe in flight for long",
      given: knowing(primary, { askedSince: now - 90 }, 600),
      want: "primary (slow)",
    },
    {
      name: "the last moment of the grace",
      given: knowing(primary, { askedSince: now - 2900 }, 2999),
      want: "primary (slow)",
    },
    {
      name: "the end of the grace",
      given: knowing(primary, { askedSince: now - 2900 }, 3000),
      want: "unreachable",
    },
    {
      name: "a slow standby",
      given: knowing(standby, { askedSince: now - 200 }, 600),
      want: "standby (slow)",
    },
    {
      name: "no slot is free on reconnect, within the grace",
      given: knowing(primary, { link: full }, 2999),
      want: "primary (slow)",
    },
    {
      name: "no slot is free on reconnect, after the grace",
      given: knowing(primary, { link: full }, 3000),
      want: "unreachable",
    },
    {
      name: "no slot is free, and there never was an answer",
      given: knowing(null, { link: full }),
      want: "unreachable",
    },
    {
      name: "refused, however young the last answer",
      given: knowing(primary, { link: down }, 1),
      want: "unreachable",
    },
    {
      name: "lost, while another connection is tried",
      given: knowing(primary, { link: lost }, 1),
      want: "primary (slow)",
    },
    {
      name: "lost, and another is tried for long",
      given: knowing(primary, { link: lost }, 1000),
      want: "unreachable",
    },
    {
      name: "no answer to a new connection, however young the last answer",
      given: knowing(primary, { link: { state: "silent", reason: "no answer" } }, 1),
      want: "unreachable",
    },
    {
      name: "the login is refused",
      given: knowing(primary, { link: { state: "denied", reason: "password" } }, 1),
      want: "unreachable",
    },
    {
      name: "a postmaster that has just left a knock unanswered",
      given: knowing(primary, { doorSilentSince: now - 2999 }),
      want: "primary",
    },
    {
      name: "a postmaster that takes no new connection for the grace",
      given: knowing(primary, { doorSilentSince: now - 3000 }),
      want: "unreachable",
    },
    {
      name: "a dead pooler beside a primary",
      given: knowing(primary, { poolerDead: "ECONNREFUSED" }),
      want: "unreachable",
    },
    {
      name: "a dead pooler beside a standby",
      given: knowing(standby, { poolerDead: "ECONNREFUSED" }),
      want: "unreachable",
    },
    {
      name: "a primary that waits for its peers",
      given: knowing(primary, { awaitedPeers: [url] }),
      want: "unreachable",
    },
    {
      name: "a standby waits for nobody",
      given: knowing(standby, { awaitedPeers: [url] }),
      want: "standby",
    },
    {
      name: "a fenced primary",
      given: knowing(primary, { verdict: { word: "fenced", reason: "newer" } }),
      want: "fenced",
    },
    {
      name: "a split brain",
      given: knowing(primary, { verdict: { word: "split-brain", reason: "both" } }),
      want: "split-brain",
    },
    {
      name: "fenced is said before read-only",
      given: knowing(
        { ...primary, readOnly: true },
        { verdict: { word: "fenced", reason: "newer" } },
      ),
      want: "fenced",
    },
  ];
  for (const { name, given, want } of rows) {
    const { answer, slow } = assess(given, policy, now);
    t.equal(answer + (slow ? " (slow)" : ""), want, name);
    t.ok(answerWords.includes(answer), `${name}: a word of the contract`);
  }
});

t.test("every 503 says why, and peers learn whether Postgres is down or silent", async (t) => {
  const reason = (given: Knowledge): string => assess(given, policy, now).reason;
  t.match(reason(knowing(primary, { link: down })), /ECONNREFUSED/);
  t.match(reason(knowing(primary, {}, 3000)), /no answer for more than 3000 ms/);
  t.match(
    reason(knowing(primary, { link: lost }, 1000)),
    /no answer for more than 1000 ms: ECONNRESET/,
  );
  t.match(reason(knowing(primary, { link: lost })), /another is being tried: ECONNRESET/);
  t.match(reason(knowing(primary, { link: full }, 3000)), /too many clients/);
  t.match(reason(knowing(primary, { awaitedPeers: [url] })), /waiting for peers: .*10\.0\.0\.2/);
  t.match(reason(knowing(primary, { poolerDead: "refused" })), /node pooler is dead: refused/);
  t.match(reason(knowing(primary, { doorSilentSince: 0 })), /takes no new connection/);
  const link = (given: Knowledge): string => assess(given, policy, now).link;
  t.equal(link(knowing(primary)), "up");
  t.equal(link(knowing(primary, { poolerDead: "refused" })), "up");
  t.equal(link(knowing(primary, { awaitedPeers: [url] })), "up");
  t.equal(
    link(knowing(primary, { link: lost })),
    "silent",
    "neither there nor stopped, for all it knows",
  );
  t.equal(link(knowing(primary, { link: down })), "down");
  t.equal(link(knowing(primary, {}, 3000)), "silent");
  t.equal(link(knowing(null)), "silent");
});

const row = {
  standby: "true",
  read_only: "off",
  system_identifier: "7710476093781296720",
  timeline: "2",
  started_at: "2026-01-01T00:00:00.000001Z",
  write_lsn: null,
  receive_lsn: "0/3000060",
  replay_lsn: "0/3000000",
  upstream_lsn: null,
  streaming: "false",
  receiver_silent_ms: null,
  receiver_timeout_ms: "60000",
  replayed_age_ms: "1500",
};

t.test("reading the probe's row", async (t) => {
  const read = readSample(row);
  t.equal(read.role, "standby");
  t.equal(read.timeline, 2);
  t.equal(read.receiveLsn, 0x3000060n);
  t.equal(read.streaming, false);
  t.equal(read.replayedAgeMs, 1500);
  t.match(read, { receiverSilentMs: null, receiverTimeoutMs: 60_000 });
  t.equal(readSample({ ...row, receiver_silent_ms: "30100" }).receiverSilentMs, 30_100);
  t.equal(readSample({ ...row, replayed_age_ms: "-20" }).replayedAgeMs, 0, "clocks that differ");
  const asPrimary = readSample({ ...row, standby: "false", read_only: "on" });
  t.match(asPrimary, { role: "primary", readOnly: true, streaming: null });
  for (const name of ["standby", "read_only", "system_identifier", "timeline", "started_at"]) {
    t.throws(() => readSample({ ...row, [name]: null }), SampleError, `without ${name}`);
  }
  t.throws(() => readSample({ ...row, timeline: "x" }), SampleError, "a timeline that is none");
  t.throws(() => readSample({ ...row, replay_lsn: "0-0" }), TypeError, "an LSN that is none");
  t.throws(() => readSample(undefined), SampleError, "no row");
});

t.test("the history file of a timeline", async (t) => {
  t.match(promotionSql(2), "name = '00000002.history'");
  t.match(promotionSql(0x1a2b), "name = '00001A2B.history'");
});

t.test("what a member is, from sample to sample", async (t) => {
  const at = (sample: Sample, askedAt: number) => ({ sample, askedAt, answeredAt: askedAt + 1 });
  const day = Date.parse("2026-02-01T00:00:00Z");
  const first = nextSelf(null, at(standby, 10), day);
  t.match(first, { role: "standby", primarySince: null, promotedAt: null });
  const promoted = nextSelf(first, at({ ...primary, timeline: 2 }, 20), day);
  t.match(
    promoted,
    { primarySince: 20, promotedAt: "2026-02-01T00:00:00.000Z" },
    "a promotion that was seen has a time",
  );
  const later = nextSelf(promoted, at({ ...primary, timeline: 2 }, 30), day + 5000);
  t.match(later, { primarySince: 20, promotedAt: "2026-02-01T00:00:00.000Z" }, "and keeps it");
  const restarted = { ...primary, timeline: 2, startedAt: "2026-02-02T00:00:00.000000Z" };
  t.match(
    nextSelf(later, at(restarted, 40), day),
    { primarySince: 40, promotedAt: null },
    "a restart is a new beginning, and was no promotion",
  );
  t.match(nextSelf(null, at(primary, 50), day), { primarySince: 50, promotedAt: null });
});

t.test("what a pooler's console says", async (t) => {
  const view = {
    databases: [
      { name: "app", paused: "0" },
      { name: "pgbouncer", paused: "1" },
    ],
    pools: [{ database: "app", cl_waiting: "3", maxwait: "0" }],
    lists: [
      { list: "databases", items: "2" },
      { list: "used_clients", items: "7" },
    ],
    config: [{ key: "max_client_conn", value: "100" }],
  };
  const limit = (value: string) => ({ ...view, config: [{ key: "max_client_conn", value }] });
  const wait = (maxwait: string) => ({ ...view, pools: [{ ...view.pools[0], maxwait } as Row] });
  const pause = { ...view, databases: [{ name: "app", paused: "1" }] };
  const rows: { name: string; given: PoolerView; want: string; says: string }[] = [
    { name: "well", given: view, want: "ok", says: "7 clients" },
    { name: "paused", given: pause, want: "paused", says: "paused: app" },
    { name: "at the limit", given: limit("7"), want: "full", says: "max_client_conn is 7" },
    { name: "under the limit", given: limit("8"), want: "ok", says: "7 clients" },
    { name: "clients wait", given: wait("1"), want: "full", says: "app (3 for 1 s)" },
    {
      name: "paused is said before clients that wait",
      given: { ...wait("9"), databases: pause.databases },
      want: "paused",
      says: "app",
    },
    {
      name: "nothing that is known",
      given: { databases: [], pools: [], lists: [], config: [] },
      want: "ok",
      says: "0 clients",
    },
  ];
  for (const { name, given, want, says } of rows) {
    t.equal(stateOf(given).state, want, name);
    t.match(stateOf(given).detail, says, name);
  }
});
