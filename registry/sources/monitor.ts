/**
 * The role source of a cluster that pg_auto_failover runs: its monitor. The monitor notifies the
 * channels `state` and `log` in the transaction of each change of a node's reported state, goal state
 * or health (its source, notifications.c), so a look right after it sees the change.
 */
import { describeTarget } from "../../kit/pg-connection.ts";
import type { PgConnection } from "../../kit/pg-connection.ts";
import { nodesStatement, readMonitor } from "../../router/monitor/rows.ts";
import type { RoleSourceKeys } from "../contract.ts";
import type { MonitorObservation, Observation } from "../roles/observation.ts";
import { ProgressMemory } from "./progress-memory.ts";
import { isoNow } from "./source.ts";
import type { RoleSource, SourceOptions } from "./source.ts";
import { SteadyConnection, whyNoAnswer } from "./steady-connection.ts";
import type { TextRow } from "./steady-connection.ts";

type MonitorKeys = Extract<RoleSourceKeys, { kind: "pg_auto_failover" }>;

const channels = ["state", "log"] as const;

/** The backstop beside the notifications, and how often a monitor that is silent is tried. */
const tickMs = 5000;
const silentTickMs = 1000;
const openMs = 2000;
const answerMs = 2000;

/** Looks that lie further apart than this have a gap between them. */
const gapMs = 2 * tickMs;

/** The role source for one group of a monitor. */
export function monitorSource(keys: MonitorKeys, options: SourceOptions): RoleSource {
  const { clock, onNews } = options;
  const title = `the monitor of ${options.cluster}`;
  const where = describeTarget({ title, host: keys.host, port: keys.port });
  let answeredAt: number | undefined;
  /** When the answers of now began to come without a gap; undefined: they always did. */
  let steadySince: number | undefined;
  const memory = new ProgressMemory();
  const statement = nodesStatement(keys);
  let isSilent = false;

  const listen = async (connection: PgConnection): Promise<void> => {
    connection.client.on("notification", onNews);
    for (const channel of channels) await connection.query(`LISTEN ${channel}`);
  };
  const { host, port, user, database, tls, password_file: passwordFile } = keys;
  const connection = new SteadyConnection(
    { title, host, port, user, database, tls, passwordFile, openMs, answerMs },
    { onOpen: listen, onLost: onNews },
  );

  const look = async (): Promise<Observation> => {
    try {
      const rows = await connection.ask(statement);
      const now = clock.monotonic();
      const isGap = answeredAt !== undefined && now - answeredAt > gapMs;
      if (isSilent || isGap) steadySince = now;
      answeredAt = now;
      isSilent = false;
      const steadyMs = steadySince === undefined ? Infinity : now - steadySince;
      const seen = observation(rows, { at: isoNow(clock), steadyMs });
      return { ...seen, earlier: memory.earlierThan(seen.nodes) };
    } catch (error) {
      isSilent = true;
      return { kind: "silent", reason: `${where} does not answer: ${whyNoAnswer(error)}` };
    }
  };
  return {
    get intervalMs() {
      return isSilent ? silentTickMs : tickMs;
    },
    look,
    setMembers: () => undefined,
    stop: () => connection.stop(),
  };
}

function observation(
  rows: readonly TextRow[],
  known: Pick<MonitorObservation, "at" | "steadyMs">,
): Omit<MonitorObservation, "earlier"> {
  const { upMs, nodes } = readMonitor(rows);
  return {
    kind: "pg_auto_failover",
    at: known.at,
    steadyMs: Math.min(known.steadyMs, upMs),
    nodes: nodes.map(({ node: { lsn, ...node }, lsnAtMs }) => ({
      ...node,
      progress: lsn === null ? null : { lsn, at: lsnAtMs },
    })),
  };
}
