/** What GET /replica asks and how lag is counted; and what the variables of pg-health take. */
import t from "tap";
import {
  addMark,
  furthestKnown,
  isWithin,
  lagOf,
  parseReplicaQuery,
  ReplicaQueryError,
} from "../../../sidecars/pg-health/lag.ts";
import type { Mark } from "../../../sidecars/pg-health/lag.ts";
import type { Sample } from "../../../sidecars/pg-health/sample.ts";
import {
  parsePeers,
  parseVariables,
  VariableError,
} from "../../../sidecars/pg-health/variables.ts";

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
  t.ok(isWithin({ bytes: null, ms: null }, null), "no limit takes an unknown lag");
  t.notOk(isWithin({ bytes: null, ms: 0 }, { unit: "bytes", most: 10 }), "a limit does not");
  t.ok(isWithin({ bytes: 10, ms: null }, { unit: "bytes", most: 10 }));
  t.notOk(isWithin({ bytes: 11, ms: null }, { unit: "bytes", most: 10 }));
  t.notOk(isWithin({ bytes: 0, ms: 501 }, { unit: "ms", most: 500 }));
});

t.test("variables", async (t) => {
  const alone = { withEnvironment: false };
  const read = parseVariables({ PG_HEALTH_USER: "health", PATH: "/bin" }, alone);
  t.match(read, {
    PG_HEALTH_LISTEN: { host: "0.0.0.0", port: 8008 },
    PG_HEALTH_POSTGRES: { host: "127.0.0.1", port: 5432 },
    PG_HEALTH_SLOW_GRACE: 3000,
    PG_HEALTH_PEER_DEADLINE: 2000,
    PG_HEALTH_USER: "health",
  });
  t.equal(read.PG_HEALTH_POOLER, undefined);
  t.equal(parseVariables({ PG_HEALTH_LISTEN: "" }, alone).PG_HEALTH_LISTEN?.port, 8008, "empty");
  const rows = [
    { name: "PG_HEALTH_LISTEN", given: "8008", want: /PG_HEALTH_LISTEN: expected host:port/ },
    { name: "PG_HEALTH_SLOW_GRACE", given: "3", want: /PG_HEALTH_SLOW_GRACE: expected a duration/ },
    { name: "PG_HEALTH_TLS", given: "prefer", want: /PG_HEALTH_TLS: expected one of disable/ },
    { name: "PG_HEALTH_LISTE", given: "x", want: /unknown, did you mean PG_HEALTH_LISTEN\?/ },
    { name: "PG_HEALTH_FOO", given: "x", want: /PG_HEALTH_FOO: unknown/ },
  ];
  for (const { name, given, want } of rows) {
    t.throws(() => parseVariables({ [name]: given }, alone), VariableError, name);
    t.throws(() => parseVariables({ [name]: given }, alone), want, name);
  }
  const beside = { withEnvironment: true };
  const both = { PG_HEALTH_LISTEN: "127.0.0.1:1", PG_HEALTH_PASSWORD: "for ${…}" };
  t.equal(parseVariables(both, beside).PG_HEALTH_LISTEN?.port, 1);
  t.equal(parseVariables({}, beside).PG_HEALTH_LISTEN, undefined, "the environment says it");
  t.throws(() => parseVariables({ PG_HEALTH_USER: "x" }, beside), /not together with --env/);
});

t.test("peers", async (t) => {
  t.strictSame(parsePeers(""), []);
  t.strictSame(parsePeers("http://a:1, http://[fd00::1]:8008,"), [
    { url: "http://a:1", host: "a", port: 1 },
    { url: "http://[fd00::1]:8008", host: "fd00::1", port: 8008 },
  ]);
  t.throws(() => parsePeers("http://a:1,b:2"), /PG_HEALTH_PEERS: expected http:\/\/host:port/);
});
