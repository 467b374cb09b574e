/** The acts of a flip on the simulated world. Each can fail, lie, hang, or be cut short halfway. */
import type { FlipActions } from "../../router/flip-db/flip-actions.ts";
import { intentFacts } from "../../router/flip-db/plan.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import { hang } from "./faults.ts";
import type { Tool } from "./tool.ts";
import { lsnAt } from "./look.ts";
import type { SimMember } from "./member.ts";

function refuse(what: string): never {
  throw new Error(what);
}

class Hands {
  readonly tool: Tool;
  constructor(tool: Tool) {
    this.tool = tool;
  }

  /** A member whose control channel answers. */
  host(name: string): SimMember {
    if (this.tool.isHidden(name)) refuse(`${name} does not answer`);
    return this.tool.world.member(name);
  }

  over(session: string): SimMember {
    if (!this.tool.isLive(session)) refuse(`session ${session} is gone`);
    const member = this.tool.sessions.all.get(session)?.member;
    if (member === undefined) return refuse("no such session");
    return this.host(member.name);
  }

  writer(name: string): SimMember {
    const member = this.host(name);
    return member.writable ? member : refuse(`${name} does not take writes`);
  }

  /** Half of the list, a moment at which the tool may die, and the rest. */
  async each<T extends { readonly name: string }>(
    act: string,
    list: readonly T[],
    effect: (one: T) => unknown,
  ): Promise<void> {
    const failed: string[] = [];
    for (const [index, one] of list.entries()) {
      if (index === 1) await this.tool.strike(act, "during");
      if (this.tool.isHidden(one.name.split("/")[0] ?? "")) failed.push(one.name);
      else effect(one);
    }
    if (failed.length > 0) refuse(`${failed.join(", ")} did not answer`);
  }
}

async function perform(
  tool: Tool,
  act: string,
  effect: () => Promise<void> | void,
): Promise<undefined> {
  const { world, faults } = tool;
  if (!tool.alive) await tool.kill();
  await tool.strike(act, "before");
  world.advance(world.chance.between(1, 6));
  const fate = world.chance.next();
  if (fate < faults.lie) refuse(`${act} failed`);
  if (fate < 2 * faults.lie) return await hangOn(tool);
  tool.sent.add(act);
  world.trace.push(`${world.now} ${tool.run}: ${act}`);
  await effect();
  world.advance(world.chance.between(1, 3));
  await tool.strike(act, "after");
  if (fate < 3 * faults.lie) refuse(`${act}: no answer`);
  if (fate < 4 * faults.lie) return await hangOn(tool);
  return undefined;
}

function hangOn(tool: Tool): Promise<never> {
  tool.world.advance(Math.max(0, Math.min(tool.limitEnd - tool.world.now, 600_000)));
  return Promise.reject(hang);
}

const recordOf = (
  tool: Tool,
  operationId: string,
  rest: Pick<JournalRecord, "phase" | "facts">,
): JournalRecord => ({
  operationId,
  step: "",
  at: tool.world.now,
  ...rest,
});

function write(tool: Tool, member: SimMember, record: JournalRecord): void {
  member.append({ at: tool.world.now, row: null, record });
}

/** The acts of `tool`. */
export function simActions(tool: Tool): FlipActions {
  const { world } = tool;
  const hands = new Hands(tool);
  const now = (name: string, effect: () => void): Promise<undefined> =>
    perform(tool, name, async () => {
      effect();
      await tool.strike(name, "during");
    });
  return {
    recordIntent: (plan) =>
      now("recordIntent", () => {
        const facts = intentFacts(plan);
        write(
          tool,
          hands.writer(plan.from),
          recordOf(tool, plan.operationId, { phase: "intent", facts }),
        );
      }),
    recordOutcome: (member, plan, result) =>
      now("recordOutcome", () => {
        const facts = { result };
        write(
          tool,
          hands.writer(member),
          recordOf(tool, plan.operationId, { phase: "outcome", facts }),
        );
      }),
    checkpoint: (member) => now("checkpoint", () => void hands.writer(member)),
    createSlot: (session, slotOf) =>
      now("createSlot", () => void hands.over(session).slots.add(slotOf)),
    dropSlot: (session, slotOf) =>
      now("dropSlot", () => void hands.over(session).slots.delete(slotOf)),
    warmChannels: () => now("warmChannels", () => undefined),
    arm: (member, by) =>
      now("arm", () => {
        // primary_conninfo leads to the standby long before.
        Object.assign(hands.host(member), { signal: by, upstream: tool.ends?.to ?? null });
      }),
    disarm: (member, by) =>
      now("disarm", () => {
        const one = hands.host(member);
        if (one.signal !== null && one.signal !== by) refuse(`${member} is armed by ${one.signal}`);
        one.signal = null;
      }),
    holdClients: (run) =>
      perform(tool, "holdClients", () =>
        hands.each("holdClients", tool.kept("gate", world.gates), (gate) => {
          if (gate.pausedBy !== null && gate.pausedBy !== run) refuse(`paused by ${gate.pausedBy}`);
          Object.assign(gate, { pausedBy: run, owner: tool, expiresAt: world.now + 5000 });
        }),
      ),
    releaseClients: (run) =>
      perform(tool, "releaseClients", () =>
        hands.each("releaseClients", tool.kept("gate", world.gates), (gate) => {
          if (gate.pausedBy !== run) return;
          gate.pausedBy = null;
          tool.checkRelease(gate);
        }),
      ),
    divertFrom: (member) =>
      perform(tool, "divertFrom", () =>
        hands.each("divertFrom", tool.kept("router", world.routers), (one) =>
          set(one, member, false),
        ),
      ),
    undivert: (member) =>
      perform(tool, "undivert", () =>
        hands.each("undivert", tool.kept("router", world.routers), (one) => set(one, member, true)),
      ),
    route: ({ down, up }) =>
      perform(tool, "route", () =>
        hands.each("route", tool.kept("router", world.routers), (one) => {
          set(one, down, false);
          set(one, up, true);
        }),
      ),
    stopOld: (member, by) =>
      now("stopOld", () => {
        const one = hands.host(member);
        // Only a broken table does not say by whom it must be armed.
        if (by !== "*" && one.signal !== by) refuse(`${member} is not armed by ${by}`);
        one.stop(world.now, world.chance.hit(0.05) ? 70_000 : world.chance.between(30, 90));
      }),
    stopStandby: (session, member) =>
      now("stopStandby", () => {
        hands.over(session);
        hands.host(member).stop(world.now, world.chance.between(20, 60));
      }),
    promote: (session, member, terms) =>
      now("promote", () => {
        // Only a broken table asks for a session of its own.
        const one = session === "fresh" ? hands.host(member) : hands.over(session);
        const isOn =
          one.timeline === terms.timeline && one.systemIdentifier === terms.systemIdentifier;
        if (one.name !== member || !one.inRecovery) refuse(`${member} is no standby`);
        if (!isOn || lsnAt(one.wal.length) <= terms.past) refuse(`${member} is not on these terms`);
        one.promoteFile = true;
        one.promoteAt =
          world.now +
          (world.options.slowPromotion
            ? world.chance.between(2000, 30_000)
            : world.chance.between(5, 40));
        world.promising = { to: member, from: tool.ends?.from ?? "" };
      }),
    removePromoteFile: (member) =>
      now("removePromoteFile", () => void (hands.host(member).promoteFile = false)),
    startMember: (member) =>
      now("startMember", () => {
        const one = hands.host(member);
        const writer = world.members.find((other) => other.writable && other !== one);
        if (!one.running && writer !== undefined && one.signal !== null) one.upstream = writer.name;
        if (one.lingersUntil > world.now) refuse(`Postgres on ${member} has not ended yet`);
        world.start(one, tool.run);
      }),
    verifyWrite: (session, member) =>
      now("verifyWrite", () => {
        hands.over(session);
        hands.writer(member);
      }),
    // No flip of these stories has names, or a monitor.
    moveNames: () => now("moveNames", () => undefined),
    askMonitor: () => now("askMonitor", () => undefined),
    forkOf: () => now("forkOf", () => undefined),
    reconnectPooler: () => now("reconnectPooler", () => undefined),
    sweepSessions: (member) =>
      perform(tool, "sweepSessions", () =>
        hands.each("sweepSessions", tool.kept("router", world.routers), (one) =>
          one.leftover.delete(member),
        ),
      ),
    relaxSynchronous: (session) =>
      now("relaxSynchronous", () => void (hands.over(session).synchronousNames = "")),
  };
}

function set(
  router: { up: Set<string>; rises: Map<string, number> },
  member: string,
  isUp: boolean,
): void {
  if (isUp) router.up.add(member);
  else router.up.delete(member);
  router.rises.set(member, isUp ? 2 : 0);
}
