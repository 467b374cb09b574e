/** What a simulated tool sees of the world: only what it asked for, and at times a moment late. */
import type { FlipObservation, FlipPart } from "../../router/flip-db/observation.ts";
import type { MemberSeen } from "../../router/member/seen.ts";
import { unknownMember } from "../../router/member/seen.ts";
import type { LockEnds } from "../../router/flip-db/flip.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import { fold, unfinished } from "../../router/operation/records.ts";
import type { SimMember } from "./member.ts";
import type { Tool } from "./tool.ts";
import type { SimRouter, World } from "./world.ts";

/** A WAL position for an index into the list of entries. */
export const lsnAt = (index: number): bigint => BigInt(index) * 8n;

const staleMs = 300;
const remembered = new WeakMap<Tool, Map<string, { at: number; seen: MemberSeen }>>();

/** One look; the parts that were not asked for stay unknown. */
export function lookAt(
  tool: Tool,
  parts: readonly FlipPart[],
  ends: LockEnds | undefined,
): FlipObservation {
  const { world } = tool;
  const wanted = (name: string): boolean => {
    if (ends === undefined) return true;
    return parts.includes(name === ends.from ? "from" : "to");
  };
  const asked = world.members.filter((one) => wanted(one.name));
  const answering = asked.filter((one) => one.running && !tool.isHidden(one.name));
  const journal: JournalRecord[] =
    ends === undefined ? answering.flatMap((one) => one.journal) : [];
  return {
    members: Object.fromEntries(asked.map((one) => [one.name, oneMember(tool, one)])),
    routers: parts.includes("routers")
      ? tool.kept("router", world.routers).map((one) => oneRouter(tool, one))
      : [],
    gates: parts.includes("gates")
      ? tool.kept("gate", world.gates).map(({ name, pausedBy, router }) => ({
          name,
          reached: !tool.isHidden(router.name),
          pausedBy: tool.isHidden(router.name) ? null : pausedBy,
        }))
      : [],
    journal,
  };
}

function oneRouter(
  tool: Tool,
  { name, up, passing, leftover }: SimRouter,
): FlipObservation["routers"][number] {
  if (tool.isHidden(name)) return { name, reached: false, up: [], passing: [], sessions: {} };
  return {
    name,
    reached: true,
    up: [...up],
    passing: [...passing],
    sessions: Object.fromEntries(leftover),
  };
}

function oneMember(tool: Tool, one: SimMember): MemberSeen {
  if (tool.isHidden(one.name)) return unknownMember;
  const { world } = tool;
  const memory = remembered.get(tool) ?? new Map<string, { at: number; seen: MemberSeen }>();
  remembered.set(tool, memory);
  const last = memory.get(one.name);
  const isFresh = last !== undefined && world.now - last.at <= staleMs;
  if (isFresh && world.chance.hit(tool.faults.stale)) return last.seen;
  const seen = truth(world, one);
  if (!isFresh) memory.set(one.name, { at: world.now, seen });
  return seen;
}

function truth(world: World, one: SimMember): MemberSeen {
  const reached = one.running && one.stopAt === null && !one.draining;
  return {
    reached,
    role: !reached ? "unknown" : one.inRecovery ? "standby" : "primary",
    writable: reached ? one.writable : null,
    timeline: reached ? one.timeline : null,
    systemIdentifier: reached ? one.systemIdentifier : null,
    writeLsn: reached && !one.inRecovery ? lsnAt(one.wal.length) : null,
    replayLsn: reached && one.inRecovery ? lsnAt(one.wal.length) : null,
    receiveLsn: reached && one.inRecovery ? lsnAt(one.wal.length) : null,
    synchronousNames: reached ? one.synchronousNames : null,
    streamsFrom: world.streams(one) ? one.upstream : null,
    process: processOf(one, world.now),
    processes: processesOf(world, one),
    archiveReady: 0,
    control: {
      state: one.state,
      checkpoint: lsnAt(one.checkpoint),
      timeline: one.controlTimeline,
      systemIdentifier: one.systemIdentifier,
    },
    armed: one.signal === null ? null : { by: one.signal },
    promoteFile: one.promoteFile,
    slots: reached ? [...one.slots] : null,
    hostFault: null,
    openOperation: reached ? (unfinished(fold(one.journal))?.operationId ?? null) : null,
  };
}

/** What only drains or archives can no longer write; who knocks at it at times is not told apart. */
function processOf(one: SimMember, now: number): MemberSeen["process"] {
  if (one.running && one.draining) return now % 5 === 0 ? "stopping" : "gone";
  if (!one.running) return "gone";
  return one.stopAt === null ? "alive" : "stopping";
}

function processesOf(world: World, one: SimMember): MemberSeen["processes"] {
  const kind = one.running ? (one.draining ? "walsender" : "postmaster") : "archiver";
  return one.running || one.lingersUntil > world.now ? [{ pid: 1, kind, title: kind }] : [];
}
