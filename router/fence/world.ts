/** The real world of a fence: looks and acts over the channels to the members and the routers. */
import type { Environment } from "../../config/schema.ts";
import { withDeadline } from "../../kit/clock.ts";
import { MemberChannels } from "../member/channels.ts";
import { unknownMember } from "../member/seen.ts";
import type { MemberSeen } from "../member/seen.ts";
import { HostControlError } from "../postgres/control/channel.ts";
import type { HostControl } from "../postgres/control/contract.ts";
import type { FenceActions, FenceObservation, FencePart } from "./observation.ts";
import { letUp, lookAtFiles, lookAtRouters, rewriteFiles, takeDown } from "./routers.ts";

const warmDeadlineMs = 5000;

/** Looks and acts for one member; close it after use. */
export interface FenceWorld {
  /** Opens the ways to the hosts, which may take longer than a look; what fails shows in looks. */
  readonly warm: (signal: AbortSignal) => Promise<void>;
  /** Never throws but for the signal: what does not answer is unknown. */
  readonly look: (parts: readonly FencePart[], signal: AbortSignal) => Promise<FenceObservation>;
  readonly actions: FenceActions;
  close(): void;
}

/** Opens nothing yet. `member` is one of the environment's. */
export function openFenceWorld(environment: Environment, member: string): FenceWorld {
  const channels = new Map(
    environment.members.map((one) => [one.name, new MemberChannels(environment, one)]),
  );
  const host = (): HostControl => {
    const found = channels.get(member)?.host;
    if (found !== undefined) return found;
    const missing = `it has no control in ${environment.file}`;
    throw new HostControlError(member, "control its host", missing);
  };
  return {
    warm: async (signal) => {
      const all = [...channels.values()].flatMap((one) => one.host ?? []);
      await Promise.allSettled(
        all.map((one) =>
          withDeadline(`warm ${one.member}`, warmDeadlineMs, (inner) => one.warm(inner), signal),
        ),
      );
      signal.throwIfAborted();
    },
    look: (parts, signal) => look({ environment, member, channels }, parts, signal),
    actions: actionsOn(environment, member, host),
    close: () => {
      for (const one of channels.values()) one.close();
    },
  };
}

interface Eyes {
  readonly environment: Environment;
  readonly member: string;
  readonly channels: ReadonlyMap<string, MemberChannels>;
}

async function look(
  { environment, member, channels }: Eyes,
  parts: readonly FencePart[],
  signal: AbortSignal,
): Promise<FenceObservation> {
  const has = (part: FencePart): boolean => parts.includes(part);
  const own = channels.get(member);
  const others = [...channels.values()].filter((one) => one.member.name !== member);
  const [seen, rest, routers, files] = await Promise.all([
    has("member") ? own?.look(true, signal) : undefined,
    has("others")
      ? Promise.all(
          others.map(async (one): Promise<[string, MemberSeen]> => [
            one.member.name,
            await one.look(true, signal),
          ]),
        )
      : [],
    has("routers") ? lookAtRouters(environment, member, signal) : [],
    has("files") ? lookAtFiles(environment, member, signal) : [],
  ]);
  return { member: seen ?? unknownMember, others: Object.fromEntries(rest), routers, files };
}

function actionsOn(
  environment: Environment,
  member: string,
  host: () => HostControl,
): FenceActions {
  const done = async (work: Promise<void>): Promise<undefined> => {
    await work;
    return undefined;
  };
  return {
    arm: async (signature, signal) => await done(host().arm(signature, signal)),
    disarm: async (signature, signal) => await done(host().disarm(signature, signal)),
    stop: async (signal) => await done(host().stop(signal)),
    start: async (signal) => await done(host().start(signal)),
    takeDown: (signal) => takeDown(environment, member, signal),
    letUp: async (signal) => await done(letUp(environment, member, signal)),
    markFiles: async (mark, signal) =>
      await done(
        rewriteFiles(
          environment,
          `keep ${member} down in the files`,
          (marks) => [...marks.filter((one) => one.member !== member), mark],
          signal,
        ),
      ),
    unmarkFiles: async (signal) =>
      await done(
        rewriteFiles(
          environment,
          `let the files have ${member}`,
          (marks) => marks.filter((one) => one.member !== member),
          signal,
        ),
      ),
  };
}
