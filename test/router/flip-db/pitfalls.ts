/**
 * What has gone wrong with switchovers elsewhere, numbered, and which tests show that it does not
 * here. Each of these files has a test with the words "pitfall N" in its name; `limits` says what
 * two members, HAProxy and PgBouncer cannot show.
 */

export interface Pitfall {
  readonly number: number;
  readonly title: string;
  /** Below test/, without the ending. */
  readonly files: readonly string[];
  readonly limits?: string;
}

const stop = "router/flip-db/pitfalls-stop.live.test";
const standby = "router/flip-db/pitfalls-standby.live.test";
const traffic = "router/flip-db/pitfalls-traffic.live.test";
const flip = "router/flip-db/flip.live.test";
const prechecks = "router/flip-db/prechecks.live.test";
const commands = "bin/commands/flip-db.live.test";
const gate = "sidecars/pool-gate/pool-gate.live.test";
const rebuild = "router/rebuild-standby/rebuild.live.test";

function row(number: number, title: string, files: readonly string[], limits?: string): Pitfall {
  return { number, title, files, ...(limits === undefined ? {} : { limits }) };
}

export const pitfalls: readonly Pitfall[] = [
  row(1, "the new primary is chosen before the old one is stopped", [stop]),
  row(2, "the shutdown hangs: archive_command, a receiver that never flushes", [stop]),
  row(3, "'failed' while it still runs, 'success' though nobody follows", [stop, commands]),
  row(4, "the tool gives up and leaves the primary down", [stop, flip]),
  row(5, "a wait for an LSN of a stale timeline", [standby]),
  row(6, "a standby that is ahead of its upstream, or forked", [standby, rebuild]),
  row(
    7,
    "a stuck election; the same node is elected again",
    [commands],
    "nobody elects here: there are no votes to get stuck; the operator names the member",
  ),
  row(8, "a candidate that does not stream, or is given less", [standby, prechecks]),
  row(9, "a stale old primary takes leadership back", [
    traffic,
    "sidecars/pg-health/pair.live.test",
  ]),
  row(10, "a restart brings the old primary back", [
    traffic,
    "router/fence/fence.live.test",
    "router/flip-db/kill-others.live.test",
  ]),
  row(
    11,
    "an isolated primary goes on committing",
    [traffic, commands],
    "without a third party nobody can end an isolated primary at once; it is failed over on proof or word only, and the loss is told",
  ),
  row(12, "a router balances over two primaries", ["router/haproxy/traps.live.test"]),
  row(13, "a silent failure keeps sessions hanging", [traffic]),
  row(14, "servers begin UP when a router starts", ["router/haproxy/traps.live.test"]),
  row(15, "overrides outlive the tool", [traffic, "router/haproxy/runtime/channels.live.test"]),
  row(16, "sessions are only scheduled for their end", [
    "router/haproxy/runtime/channels.live.test",
    "router/haproxy/runtime/sessions.live.test",
  ]),
  row(17, "set maxconn frontend aborts HAProxy", [traffic, "router/haproxy/runtime/client.test"]),
  row(
    18,
    "maint kills bridged clients",
    [traffic],
    "no client is bridged: what is shown is that a flip never uses maint or drain",
  ),
  row(19, "PAUSE hangs in session mode; RESUME while it waits", [gate]),
  row(
    20,
    "stale names and slow retries in PgBouncer",
    [traffic, prechecks],
    "poolers are given addresses, so no name is cached; the resolver has tests of its own",
  ),
  row(21, "poolers stick to the demoted member, or to what they have cached", [traffic]),
  row(
    22,
    "query_wait_timeout ends held clients",
    [traffic],
    "the serial refill of a pool over a wide line takes a wide line",
  ),
  row(
    23,
    "slots are lost, or silently skip data",
    [flip, prechecks],
    "logical slots are named beforehand; failover slots take PostgreSQL 17",
  ),
  row(24, "the WAL that a slot needs was removed", [standby]),
  row(25, "pg_rewind too early, without its WAL, or over and over", [
    rebuild,
    "router/rebuild-standby/interrupted.live.test",
  ]),
  row(
    26,
    "base backups with a pg_wal elsewhere, tablespaces, a mount point",
    [standby, "router/rebuild-standby/plan-rows"],
    "a mount is not made in a test: the row of the plan is tested",
  ),
  row(27, "a busy primary looks dead", ["sidecars/pg-health/postgres.live.test"]),
  row(28, "a slow standby fails the primary's check", [traffic]),
  row(29, "a frozen receiver or standby blocks everything", [stop, flip]),
];
