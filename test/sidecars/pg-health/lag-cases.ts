/** What GET /replica asks and how lag is counted; and what the variables of pg-health take. */
import t from "tap";
import { lagNow, nextMemory, peerPrimary } from "../../../sidecars/pg-health/contact.ts";
import type { PeerPrimary, StandbyMemory } from "../../../sidecars/pg-health/contact.ts";
import { newPeer, peerReplied, peerSilent } from "../../../sidecars/pg-health/defence.ts";
import {
  addMark,
  fitOf,
  furthestKnown,
  lagOf,
  parseReplicaQuery,
  ReplicaQueryError,
  staleGraceMs,
} from "../../../sidecars/pg-health/lag.ts";
import type { Mark } from "../../../sidecars/pg-health/lag.ts";
import type { Sample } from "../../../sidecars/pg-health/sample.ts";
import { readVariables, VariableError } from "../../../config/variables.ts";
import { parsePeers, variableTable } from "../../../sidecars/pg-health/variables.ts";

const standby: Sample = {
  role: "standby",
  readOnly: false,
  systemIdentifier: "1",
  timeline: 1,
  startedAt: "2026-01-01T00:00:00.000000Z",
  writeLsn: null,
  receiveLsn: 90n,
  replayLsn: 80n,
  upstreamLsn: 100n,
  streaming: true,
  receiverSilentMs: 200,
  receiverTimeoutMs: 60_000,
  replayedAgeMs: 3_600_000,
};

t.test("queries that are taken", async (t) => {
  const bytes = (most: number) => ({ unit: "bytes", most });
  const rows = [
    { name: "", want: { mode: "apply", limit: null } },
    { name: "?", want: { mode: "apply", limit: null } },
    { name: "?lag=0", want: { mode: "apply", limit: bytes(0) } },
    { name: "?lag=1048576", want: { mode: "apply", limit: bytes(1048576) } },
    { name: "?lag=64kB", want: { mode: "apply", limit: bytes(65536) } },
    { name: "?lag=10MB&mode=write", want: { mode: "write", limit: bytes(10 * 1024 ** 2) } },
    { name: "?mode=apply&lag=1gb", want: { mode: "apply", limit: bytes(1024 ** 3) } },
    { name: "?lag=500ms", want: { mode: "apply", limit: { unit: "ms", most: 500 } } },
    { name: "?lag=2s", want: { mode: "apply", limit: { unit: "ms", most: 2000 } } },
  ];
  for (const { name, want } of rows) t.strictSame(parseReplicaQuery(name), want, name);
});

t.test("queries that are not, and what is said", async (t) => {
  const rows = [
    { name: "?lag=", want: /expected bytes/ },
    { name: "?lag=ten", want: /lag=ten: expected bytes .* a size .* or a time/ },
    { name: "?lag=-1", want: /expected bytes/ },
    { name: "?lag=1.5MB", want: /expected bytes/ },
    { name: "?lag=10XB", want: /expected bytes/ },
    { name: "?lag=99999999999999999999", want: /expected bytes/ },
    { name: "?lag=1&lag=2", want: /lag stands twice/ },
    { name: "?mode=replay", want: /mode=replay: expected apply or write/ },
    { name: "?max=1", want: /unknown parameter "max": expected lag or mode/ },
  ];
  for (const { name, want } of rows) {
    t.throws(() => parseReplicaQuery(name), ReplicaQueryError, name);
    t.throws(() => parseReplicaQuery(name), want, name);
  }
});

t.test("how far behind", async (t) => {
  const marks: readonly Mark[] = [
    { at: 1000, lsn: 70n },
    { at: 2000, lsn: 80n },
    { at: 3000, lsn: 95n },
    { at: 4000, lsn: 100n },
  ];
  const known = { ahead: 100n, marks, now: 5000 };
  t.equal(furthestKnown(standby, null), 100n, "the upstream");
  t.equal(furthestKnown(standby, 120n), 120n, "a peer that is the primary");
  t.equal(furthestKnown({ ...standby, upstreamLsn: null }, null), 90n, "what was received");
  t.strictSame(lagOf(standby, "apply", known), { bytes: 20, ms: 3000 });
  t.strictSame(lagOf(standby, "write", known), { bytes: 10, ms: 3000 });
  const current = { ...standby, receiveLsn: 100n, replayLsn: 100n };
  t.strictSame(lagOf(current, "apply", known), { bytes: 0, ms: 0 }, "idle for an hour, not behind");
  const young = { ...standby, replayedAgeMs: 40 };
  t.equal(lagOf(young, "apply", known).ms, 40, "the last replayed commit is younger than the mark");
  t.equal(lagOf(standby, "apply", { ...known, marks: [] }).ms, 3_600_000, "no mark to go by");
  t.equal(lagOf(standby, "write", { ...known, marks: [] }).ms, null, "nothing to go by");
  t.strictSame(lagOf(standby, "apply", { ...known, ahead: null }), { bytes: null, ms: null });
  const restored = { ...standby, receiveLsn: null };
  t.equal(lagOf(restored, "write", known).bytes, 20, "nothing received yet: what is replayed");
});

t.test("marks are bounded and never make a lag look smaller", async (t) => {
  let marks: readonly Mark[] = [];
  for (let step = 0; step < 5000; step += 1) {
    marks = addMark(marks, { at: step, lsn: BigInt(step) });
    const here = { ...standby, replayLsn: BigInt(Math.floor(step / 2)), replayedAgeMs: null };
    const { ms } = lagOf(here, "apply", { ahead: BigInt(step), marks, now: step });
    const truth = step - Math.floor(step / 2);
    if (ms === null || ms < truth) t.fail(`step ${step}: ${ms} ms, in truth ${truth} ms`);
  }
  t.ok(marks.length <= 512, `${marks.length} marks`);
  const idle = addMark([{ at: 1, lsn: 5n }], { at: 9, lsn: 5n });
  t.strictSame(idle, [{ at: 9, lsn: 5n }], "a position that stands still is one mark, renewed");
});

t.test("limits", async (t) => {
  const bytes = { unit: "bytes", most: 10 } as const;
  const ms = { unit: "ms", most: 500 } as const;
  const lag = { bytes: 0, ms: 0, silentMs: 0 };
  const grace = staleGraceMs;
  const rows = [
    { name: "no limit takes an unknown lag", given: { bytes: null, ms: null }, limit: null },
    { name: "no limit takes any silence", given: { silentMs: 1e9 }, limit: null },
    { name: "a limit does not", given: { bytes: null }, limit: bytes, want: "lagging" },
    { name: "the most that is taken", given: { bytes: 10, ms: null }, limit: bytes },
    { name: "one more", given: { bytes: 11 }, limit: bytes, want: "lagging" },
    { name: "too old", given: { ms: 501 }, limit: ms, want: "lagging" },
    { name: "silence as long as the limit", given: { silentMs: 500 }, limit: ms },
    { name: "silence is lag", given: { silentMs: 501 }, limit: ms, want: "stale" },
    { name: "bytes, in the grace", given: { silentMs: grace }, limit: bytes },
    { name: "bytes, after it", given: { silentMs: grace + 1 }, limit: bytes, want: "stale" },
    {
      name: "behind, in the grace",
      given: { bytes: 11, silentMs: 9 },
      limit: bytes,
      want: "lagging",
    },
  ];
  for (const { name, given, limit, want = "within" } of rows) {
    t.equal(fitOf({ ...lag, ...given }, limit), want, name);
  }
});

/** A standby's memory after samples that were asked for at these times (ms). */
function remembering(
  seen: readonly (readonly [at: number, sample: Sample])[],
  peer: PeerPrimary | null = null,
): StandbyMemory {
  let memory: StandbyMemory | null = null;
  for (const [askedAt, sample] of seen) {
    memory = nextMemory(memory, { sample, askedAt, answeredAt: askedAt + 1 }, peer);
  }
  if (memory === null) throw new Error("a standby has a memory");
  return memory;
}

t.test("how long the primary is silent, and what is known of the lag meanwhile", async (t) => {
  const current = { ...standby, receiveLsn: 100n, replayLsn: 100n };
  const idle = { ...current, receiverSilentMs: 34_000 };
  const cut = { ...current, receiverSilentMs: 36_000 };
  // The receiver's row is gone, and after a restart what was received begins with a segment.
  const alone = {
    ...current,
    ...{ streaming: false, upstreamLsn: null, receiveLsn: 64n, receiverSilentMs: null },
  };
  const silent = (last: Sample, now: number): number | null =>
    lagNow(
      remembering([
        [1000, standby],
        [40_000, last],
      ]),
      last,
      { mode: "apply", peer: null, now },
    ).silentMs;
  t.equal(silent(idle, 40_200), 0, "as long as an idle primary may be silent");
  t.equal(silent(cut, 40_200), 36_200, "longer: since the last message");
  t.equal(silent(alone, 40_200), 39_200, "no stream: since it was last seen");
  t.equal(silent({ ...idle, receiverTimeoutMs: 20_000 }, 40_200), 34_200, "a shorter timeout");
  t.equal(silent({ ...cut, receiverTimeoutMs: 0 }, 40_200), 0, "none: silence says nothing");
  t.equal(silent({ ...cut, receiverSilentMs: null }, 40_200), 0, "a login that may not see it");
  const never = remembering([[5000, alone]]);
  t.equal(lagNow(never, alone, { mode: "apply", peer: null, now: 9000 }).silentMs, 4000);

  const behind = { ...standby, streaming: false, upstreamLsn: null };
  const memory = remembering([
    [1000, standby],
    [2000, behind],
    [3000, behind],
  ]);
  const lag = lagNow(memory, behind, { mode: "apply", peer: null, now: 3000 });
  t.match(lag, { bytes: 20, silentMs: 2000 }, "what the stream told stays true");
  t.equal(
    nextMemory(
      memory,
      { sample: { ...standby, role: "primary" }, askedAt: 1, answeredAt: 2 },
      null,
    ),
    null,
  );
});

t.test("a primary's pg-health that answers is as good as a stream", async (t) => {
  const self = {
    ...({ role: "standby", systemIdentifier: "1", timeline: 1 } as const),
    ...{ startedAt: standby.startedAt, primarySince: null, promotedAt: null },
  };
  const says = {
    ...({ role: "primary", readOnly: false, systemIdentifier: "1", timeline: 1 } as const),
    ...{ startedAt: standby.startedAt, writeLsn: "0/96", receiveLsn: null, replayLsn: null },
    ...{ lagBytes: null, lagMs: null },
  };
  const reply = { askedAt: 9000, link: "up", answer: "primary", postgres: says } as const;
  const told = peerReplied(newPeer("http://a:1"), reply, self);
  const alone = { ...standby, streaming: false, upstreamLsn: null };
  const memory = remembering([
    [1000, standby],
    [9000, alone],
  ]);
  const lag = (peer: PeerPrimary | null) =>
    lagNow(memory, alone, { mode: "apply", peer, now: 50_000 });
  t.match(lag(peerPrimary([told], self)), { silentMs: 0, bytes: 150 - 80 });
  t.equal(lag(peerPrimary([peerSilent(told)], self)).silentMs, 41_000, "since it last answered");
  const stopped = peerReplied(told, { ...reply, askedAt: 9500, link: "down" }, self);
  t.equal(lag(peerPrimary([stopped], self)).silentMs, 41_000, "it answers, its Postgres does not");
  const older = { ...self, timeline: 2 };
  t.equal(peerPrimary([told], older), null, "on an older timeline");
});

t.test("variables", async (t) => {
  const alone = { withEnvironment: false };
  const parse = (given: Readonly<Record<string, string>>, options = alone) =>
    readVariables(variableTable, given, options);
  const read = parse({ PG_HEALTH_USER: "health", PATH: "/bin" });
  t.match(read, {
    PG_HEALTH_LISTEN: { host: "0.0.0.0", port: 8008 },
    PG_HEALTH_POSTGRES: { host: "127.0.0.1", port: 5432 },
    PG_HEALTH_SLOW_GRACE: 3000,
    PG_HEALTH_PEER_DEADLINE: 2000,
    PG_HEALTH_USER: "health",
  });
  t.equal(read.PG_HEALTH_POOLER, undefined);
  t.equal(parse({ PG_HEALTH_LISTEN: "" }).PG_HEALTH_LISTEN?.port, 8008, "empty");
  const rows = [
    { name: "PG_HEALTH_LISTEN", given: "8008", want: /PG_HEALTH_LISTEN: expected host:port/ },
    { name: "PG_HEALTH_SLOW_GRACE", given: "3", want: /PG_HEALTH_SLOW_GRACE: expected a duration/ },
    { name: "PG_HEALTH_TLS", given: "prefer", want: /PG_HEALTH_TLS: expected one of disable/ },
    { name: "PG_HEALTH_LISTE", given: "x", want: /unknown, did you mean PG_HEALTH_LISTEN\?/ },
    { name: "PG_HEALTH_FOO", given: "x", want: /PG_HEALTH_FOO: unknown/ },
  ];
  for (const { name, given, want } of rows) {
    t.throws(() => parse({ [name]: given }), VariableError, name);
    t.throws(() => parse({ [name]: given }), want, name);
  }
  const beside = { withEnvironment: true };
  const both = { PG_HEALTH_LISTEN: "127.0.0.1:1", PG_HEALTH_PASSWORD: "for ${…}" };
  t.equal(parse(both, beside).PG_HEALTH_LISTEN?.port, 1);
  t.equal(parse({}, beside).PG_HEALTH_LISTEN, undefined, "the environment says it");
  t.throws(() => parse({ PG_HEALTH_USER: "x" }, beside), /not together with --env/);
});

t.test("peers", async (t) => {
  t.strictSame(parsePeers(""), []);
  t.strictSame(parsePeers("http://a:1, http://[fd00::1]:8008,"), [
    { url: "http://a:1", host: "a", port: 1 },
    { url: "http://[fd00::1]:8008", host: "fd00::1", port: 8008 },
  ]);
  t.throws(() => parsePeers("http://a:1,b:2"), /PG_HEALTH_PEERS: expected http:\/\/host:port/);
});
