/** Waits until a new lab is whole: every part answers as it should and a write goes through. */
import type { Client } from "pg";
import { eventually, withDeadline } from "../kit/clock.ts";
import { appLogin, superuserLogin, withClient } from "./connect.ts";
import type { AppHost, MemberHost } from "./model.ts";
import type { Making } from "./postgres.ts";

const readyDeadlineMs = 30_000;
const lookDeadlineMs = 2000;
const intervalMs = 50;

/**
 * Resolves when `primary` takes writes through every app host and the others stream from it.
 * @throws DeadlineError saying what is not right yet
 */
export async function awaitReady(making: Making, primary: MemberHost): Promise<void> {
  const { members, apps } = making.model;
  const standbys = members.filter((one) => one.name !== primary.name);
  const wait = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    await eventually(
      what,
      { deadlineMs: readyDeadlineMs, intervalMs, signal: making.signal },
      async () => ((await look()) ? true : undefined),
    );
  };
  await Promise.all([
    ...standbys.map((one) =>
      wait(`${one.name} streams through slot ${one.slot}`, () => streams(making, primary, one)),
    ),
    ...members.map((one) =>
      wait(`pg-health of ${one.name} says what it is`, () => healthIs(one, one === primary)),
    ),
    ...apps.map((one) =>
      wait(`router ${one.router} sends writes to ${primary.name} alone`, () =>
        routesRightly(one, primary, standbys),
      ),
    ),
  ]);
  await Promise.all(
    apps.map((one) =>
      wait(`a write through edge pooler ${one.edgePooler}`, () => takesWrites(making, one)),
    ),
  );
}

async function streams(making: Making, primary: MemberHost, standby: MemberHost): Promise<boolean> {
  const login = superuserLogin(making.secrets);
  return await withClient(primary.postgres, login, lookDeadlineMs, (client) =>
    streamsThroughSlot(client, standby),
  );
}

/** True when the primary of `client` streams to `standby` through the standby's slot. */
export async function streamsThroughSlot(client: Client, standby: MemberHost): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
     WHERE r.state = 'streaming' AND r.application_name = $1 AND s.slot_name = $2`,
    [standby.name, standby.slot],
  );
  return rowCount === 1;
}

/** True when a write commits through the app host's edge pooler; it leaves nothing behind. */
async function takesWrites(making: Making, app: AppHost): Promise<boolean> {
  return await withClient(app.edge, appLogin(making.secrets), lookDeadlineMs, async (client) => {
    const { rowCount } = await client.query("SELECT pg_current_xact_id()");
    return rowCount === 1;
  });
}

async function healthIs(member: MemberHost, isPrimary: boolean): Promise<boolean> {
  const base = `http://${member.health.host}:${member.health.port}`;
  const [primary, replica] = await Promise.all([get(`${base}/primary`), get(`${base}/replica`)]);
  const right = isPrimary ? [200, "primary"] : [503, "standby"];
  const word = primary.body.trim();
  return primary.status === right[0] && word === right[1] && (isPrimary || replica.status === 200);
}

/** What HAProxy's statistics page must say of a server, by the verdict of its last check. */
async function routesRightly(
  app: AppHost,
  primary: MemberHost,
  standbys: readonly MemberHost[],
): Promise<boolean> {
  const { body } = await get(`http://${app.stats.host}:${app.stats.port}/;csv`);
  const rows = parseStatistics(body);
  const isUp = (backend: string, server: string): boolean => {
    const row = rows.find((one) => one["# pxname"] === backend && one["svname"] === server);
    return row?.["status"] === "UP" && row["check_status"]?.endsWith("OK") === true;
  };
  return (
    isUp("pg-primary", primary.name) &&
    !isUp("pg-replica", primary.name) &&
    standbys.every((one) => !isUp("pg-primary", one.name) && isUp("pg-replica", one.name))
  );
}

function parseStatistics(text: string): Record<string, string>[] {
  const [head = "", ...lines] = text.trim().split("\n");
  const names = head.split(",");
  return lines.map((line) => {
    const values = line.split(",");
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""]));
  });
}

async function get(url: string): Promise<{ status: number; body: string }> {
  return await withDeadline(`GET ${url}`, lookDeadlineMs, async (signal) => {
    const response = await fetch(url, { signal });
    return { status: response.status, body: await response.text() };
  });
}
