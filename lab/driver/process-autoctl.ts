/**
 * Makes the nodes of a lab that pg_auto_failover runs: the monitor, then a keeper with its Postgres
 * for each member, one after the other, so that the monitor counts them in their order.
 */
import { escapeLiteral } from "pg";
import type { Client } from "pg";
import { eventually, systemClock } from "../../kit/clock.ts";
import { withClient } from "../connect.ts";
import type { MemberHost, Part } from "../model.ts";
import { partOf } from "../model.ts";
import { asSuperuser, createApp, hostBasedAccess } from "../postgres.ts";
import { requireAutoctl } from "../programs.ts";
import type { Programs } from "../programs.ts";
import { scramSecret } from "../scram.ts";
import { labUsers } from "../secrets.ts";
import {
  autoctlVariables,
  createMonitorWords,
  createNodeWords,
  keeperPasswords,
  monitorDatabase,
  ownSettings,
  replicationRole,
} from "./autoctl-words.ts";
import { settled } from "./driver.ts";
import type { Making } from "./driver.ts";
import { dataFolder, renewRuntimeFolder, runPartTool, writePartFile } from "./part.ts";
import { initialise } from "./process-postgres.ts";
import type { StartedPart } from "./process.ts";

/** A step of a node's state takes a second or two; a copy of an empty cluster about as long. */
const statesDeadlineMs = 60_000;
const queryDeadlineMs = 2000;
const checkpointEveryMs = 250;

/**
 * Makes and starts the monitor and all members; the first is the primary, the others follow it.
 * @throws PartError, ChildError, DeadlineError with the states that the monitor told last
 */
export async function startManagedNodes(
  making: Making,
  programs: Programs,
  start: (part: Part) => Promise<StartedPart>,
): Promise<StartedPart[]> {
  const { model, note } = making;
  const autoctl = await requireAutoctl(programs);
  const [primary, ...standbys] = model.members;
  if (primary === undefined || model.monitor === undefined) {
    throw new TypeError("a managed lab has a monitor and a first member");
  }
  const monitor = partOf(model, model.monitor.name, "monitor");
  const node = (member: MemberHost): Part => partOf(model, member.name, "postgres");
  const [watcher] = await settled([
    makeMonitor(making, programs, autoctl, monitor).then(() => start(monitor)),
    initialise(making, programs, node(primary), `include_if_exists = '../${ownSettings}'\n`),
  ]);
  note(`${monitor.host}: the monitor runs`);
  const started = [watcher];
  await createNode(making, programs, autoctl, node(primary));
  started.push(await start(node(primary)));
  await fillManaged(making, primary);
  note(`${primary.name}: primary runs`);
  for (const standby of standbys) {
    await withQuickCheckpoints(making, primary, () =>
      createNode(making, programs, autoctl, node(standby)),
    );
    started.push(await start(node(standby)));
    note(`${standby.name}: base backup is done, standby runs`);
  }
  await awaitStates(making);
  note("the monitor calls every node settled");
  return started;
}

async function makeMonitor(
  making: Making,
  programs: Programs,
  autoctl: string,
  part: Part,
): Promise<void> {
  const { place, secrets, signal } = making;
  await renewRuntimeFolder(place, part);
  await writePartFile(place, part, "passfile", keeperPasswords(secrets));
  const variables = autoctlVariables(part);
  const create = [autoctl, ...createMonitorWords(programs, part)] as const;
  await runPartTool(place, part, create, { variables, signal });
  // It stands still now. Nobody may get in without a password, and by now nobody has one.
  await writePartFile(place, part, "data/pg_hba.conf", hostBasedAccess(["127.0.0.0/8"]));
  const passwords = [
    [labUsers.superuser, secrets.superuser],
    [labUsers.monitor, secrets.monitor],
  ] as const;
  const input = passwords
    .map(([role, secret]) => `ALTER ROLE ${role} PASSWORD ${escapeLiteral(scramSecret(secret))}\n`)
    .join("");
  const single = `${programs.postgresFolder}/postgres`;
  const words = [single, "--single", "-D", dataFolder(part), "postgres"] as const;
  await runPartTool(place, part, words, { input, signal });
}

async function createNode(
  making: Making,
  programs: Programs,
  autoctl: string,
  part: Part,
): Promise<void> {
  const { model, place, secrets, signal } = making;
  await renewRuntimeFolder(place, part);
  await writePartFile(place, part, "passfile", keeperPasswords(secrets));
  await writePartFile(place, part, ownSettings, `cluster_name = '${part.host}'\n`);
  const create = [autoctl, ...createNodeWords(programs, model, part)] as const;
  await runPartTool(place, part, create, { variables: autoctlVariables(part), signal });
}

/**
 * A keeper's base backup begins with a checkpoint that is spread over minutes. One that is asked for
 * by hand makes the one under way hurry.
 */
async function withQuickCheckpoints(
  making: Making,
  primary: MemberHost,
  work: () => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  const hurrying = asSuperuser(making, primary, async (client) => {
    while (!ended.signal.aborted) {
      await client.query("CHECKPOINT");
      await systemClock.sleep(checkpointEveryMs, ended.signal).catch(() => undefined);
    }
  });
  try {
    await Promise.all([work().finally(() => ended.abort()), hurrying]);
  } finally {
    ended.abort();
  }
}

async function fillManaged(making: Making, member: MemberHost): Promise<void> {
  const { replicator } = making.secrets;
  await asSuperuser(making, member, async (client) => {
    await client.query(
      `ALTER ROLE ${replicationRole} PASSWORD ${escapeLiteral(scramSecret(replicator))}`,
    );
    await createApp(making, client);
  });
}

/** Waits until the monitor has every node where it wants it, the first of them as the primary. */
async function awaitStates({ model, secrets, signal }: Making): Promise<void> {
  const address = model.monitor?.address;
  if (address === undefined) throw new TypeError("a managed lab has a monitor");
  const login = {
    user: labUsers.monitor,
    password: secrets.monitor.reveal(),
    database: monitorDatabase,
  };
  const want = model.members
    .map(({ name }, ordinal) => `${name} ${ordinal === 0 ? "primary" : "secondary"}`)
    .join(", ");
  const what = `the monitor settles on ${want}`;
  await eventually(what, { deadlineMs: statesDeadlineMs, intervalMs: 100, signal }, async () => {
    const now = await withClient(address, login, queryDeadlineMs, statesOf);
    if (now === want) return true;
    throw new Error(`it says ${now}`);
  });
}

/** Every node as the monitor has it, such as `dal-01 primary, chi-02 catchingup to secondary`. */
async function statesOf(client: Client): Promise<string> {
  const { rows } = await client.query<{ node: string }>(
    `SELECT concat(nodename, ' ', reportedstate,
              CASE WHEN goalstate <> reportedstate THEN concat(' to ', goalstate) END) AS node
       FROM pgautofailover.node ORDER BY nodeid`,
  );
  return rows.map(({ node }) => node).join(", ");
}
