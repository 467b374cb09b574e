/**
 * A real HAProxy before two fake members: dal-01 answers as primary, chi-02 as standby. Beside
 * pg-primary there is a server that tracks a probe, and a listener that holds clients in its queue
 * while dal-01 is not up (facts §3, hold server).
 */
import { join } from "node:path";
import { eventually } from "../../../../kit/clock.ts";
import type { PlainAddress } from "../../../../router/haproxy/runtime/address.ts";
import {
  connectRuntime,
  showServers,
  showSessions,
} from "../../../../router/haproxy/runtime/client.ts";
import type { Runtime } from "../../../../router/haproxy/runtime/client.ts";
import { formatServerName } from "../../../../router/haproxy/runtime/servers.ts";
import type { ServerView } from "../../../../router/haproxy/runtime/servers.ts";
import { startFakeMember } from "../../../support/fake-member.ts";
import type { FakeMember } from "../../../support/fake-member.ts";
import { haproxyPlace, startHaproxy } from "../../../support/haproxy.ts";
import type { HaproxyPlace, RunningHaproxy } from "../../../support/haproxy.ts";

export interface Rig {
  readonly haproxy: RunningHaproxy;
  readonly dal: FakeMember;
  readonly chi: FakeMember;
  readonly runtime: Runtime;
  /** As the environment file writes it. */
  readonly master: PlainAddress;
  /** Where HAProxy listens: write 6433, tracked 6435, held 6436. */
  readonly host: string;
  readonly configuration: string;
  /** The address of another socket: user.sock, operator.sock. */
  readonly socket: (name: string) => PlainAddress;
  readonly stop: () => Promise<void>;
}

export const dal01 = { backend: "pg-primary", server: "dal-01" };
export const chi02 = { backend: "pg-primary", server: "chi-02" };

/** Starts the rig in `net` (such as 127.60.11) and waits until dal-01 alone is up. */
export async function startRig(program: string, net: string): Promise<Rig> {
  const host = `${net}.10`;
  const dal = await startFakeMember("dal-01", `${net}.1`, "primary");
  const chi = await startFakeMember("chi-02", `${net}.2`, "standby");
  const place = await haproxyPlace();
  const configuration = text(place, host, dal.host, chi.host);
  const haproxy = await startHaproxy(program, place, configuration);
  const runtime = connectRuntime(`unix:${place.admin}`, { deadlineMs: 5000 });
  const rig: Rig = {
    haproxy,
    dal,
    chi,
    runtime,
    master: `unix:${place.master}`,
    host,
    configuration,
    socket: (name: string) => `unix:${join(place.folder, name)}`,
    stop: async () => {
      await haproxy.stop();
      await Promise.all([dal.stop(), chi.stop()]);
    },
  };
  try {
    await settled(rig);
  } catch (error) {
    await rig.stop();
    throw error;
  }
  return rig;
}

/** Waits until the checks have found what the members are. */
export async function settled(rig: Pick<Rig, "runtime" | "dal" | "chi">): Promise<void> {
  const want = (member: FakeMember): string => (member.health === "primary" ? "up" : "down");
  await eventually("the checks agree", { deadlineMs: 30_000, intervalMs: 20 }, async () => {
    const servers = await showServers(rig.runtime);
    const isRight = servers.every((one) => {
      if (one.backup) return true;
      const state = want(one.server === "chi-02" ? rig.chi : rig.dal);
      return one.state === state && (one.tracks !== undefined || one.check.startsWith("L7"));
    });
    return isRight ? true : undefined;
  });
}

/** Does `work` while no check comes to its end: nothing but orders changes a server meanwhile. */
export async function withoutChecks(
  { dal, chi }: Pick<Rig, "dal" | "chi">,
  work: () => Promise<void>,
): Promise<void> {
  try {
    // Of dal-01 three servers are checked.
    await Promise.all([dal.hold(3), chi.hold(1)]);
    await work();
  } finally {
    dal.letGo();
    chi.letGo();
  }
}

/** Waits until the sessions of clients that have left are over, for HAProxy and for the members. */
export async function quiet({ runtime, dal, chi }: Rig): Promise<void> {
  await eventually("none is left", { deadlineMs: 20_000, intervalMs: 10 }, async () => {
    const left = (await showSessions(runtime)).length + dal.open() + chi.open();
    return left === 0 ? true : undefined;
  });
}

/** One server as it is now. */
export async function serverNow(rig: Rig, name: string): Promise<ServerView> {
  const found = (await showServers(rig.runtime)).find((one) => formatServerName(one) === name);
  if (found === undefined) throw new Error(`no server ${name}`);
  return found;
}

function text(place: HaproxyPlace, host: string, dal: string, chi: string): string {
  const check =
    "option httpchk\n  http-check send meth GET uri /primary\n  http-check expect status 200";
  return `global
  stats socket ${place.admin} mode 600 level admin expose-fd listeners
  stats socket ${join(place.folder, "user.sock")} mode 600 level user
  stats socket ${join(place.folder, "operator.sock")} mode 600 level operator
  stats timeout 2s
  log ring@health format rfc5424 local0 notice
ring health
  format raw
  maxlen 1200
  size 65536
defaults
  mode tcp
  log global
  timeout client 1h
  timeout server 1h
  timeout connect 2s
  timeout check 1m
  timeout queue 20s
  default-server inter 1s fastinter 300ms downinter 300ms rise 2 fall 2 on-marked-down shutdown-sessions
listen pg-primary
  bind ${host}:6433
  ${check}
  server dal-01 ${dal}:6432 check addr ${dal} port 8008 maxconn 1000
  server chi-02 ${chi}:6432 check addr ${chi} port 8008 maxconn 1000
backend probe-dal-01
  ${check}
  server probe ${dal}:6432 check addr ${dal} port 8008
listen tracked
  bind ${host}:6435
  server dal-01 ${dal}:6432 track probe-dal-01/probe maxconn 1000
listen held
  bind ${host}:6436
  option allbackups
  ${check}
  server dal-01 ${dal}:6432 check addr ${dal} port 8008 maxconn 1000
  server hold ${host}:6436 backup maxconn 1
`;
}
