/**
 * The role source of a cluster that nobody manages: its members, asked side by side, each over a
 * connection that stays. The look costs what the slowest member takes, and a member that is known not
 * to answer costs a quarter of a second.
 */
import type { Clock } from "../../kit/clock.ts";
import { isFault } from "../roles/observation.ts";
import type { ProbeAnswer, ProbedMember, ProbeFault } from "../roles/observation.ts";
import { MemberProbe } from "./member-probe.ts";
import type { ProbeKeys } from "./member-probe.ts";
import { ProgressMemory } from "./progress-memory.ts";
import { isoNow } from "./source.ts";
import type { RoleSource, SourceMember, SourceOptions } from "./source.ts";

/** How often members are asked while none takes writes: a promotion is near. */
const watchfulMs = 250;

interface Probed {
  /** Where it is reached, as text, to notice a move. */
  readonly where: string;
  readonly probe: MemberProbe | { readonly why: string };
}

/** The role source for members that answer for themselves. */
export function probeSource(keys: ProbeKeys, options: SourceOptions): RoleSource {
  const { clock, onNews } = options;
  const memory = new ProgressMemory();
  let probed: ReadonlyMap<string, Probed> = new Map();
  let isWritten = true;

  const setMembers = (members: readonly SourceMember[]): void => {
    const before = probed;
    const next = new Map<string, Probed>();
    for (const { name, place } of members) {
      const where = JSON.stringify(place);
      const known = before.get(name);
      if (known?.where === where) next.set(name, known);
      else next.set(name, { where, probe: probeOf(name, place, { keys, clock, onNews }) });
    }
    for (const [name, one] of before) if (next.get(name) !== one) stopProbe(one);
    probed = next;
  };

  return {
    get intervalMs() {
      return isWritten ? keys.interval_ms : Math.min(keys.interval_ms, watchfulMs);
    },
    setMembers,
    look: async () => {
      const members = await Promise.all([...probed].map(([name, one]) => lookAt(name, one)));
      isWritten = members.some(({ answer }) => takesWrites(answer));
      const earlier = memory.earlierThan(members.map(progressOf));
      return { kind: "probe", at: isoNow(clock), members, earlier };
    },
    stop: () => {
      for (const one of probed.values()) stopProbe(one);
    },
  };
}

function probeOf(
  name: string,
  place: SourceMember["place"],
  options: { readonly keys: ProbeKeys; readonly clock: Clock; readonly onNews: () => void },
): Probed["probe"] {
  return "why" in place ? place : new MemberProbe(name, place, options);
}

function stopProbe({ probe }: Probed): void {
  if (probe instanceof MemberProbe) probe.stop();
}

async function lookAt(name: string, { probe }: Probed): Promise<ProbedMember> {
  if (probe instanceof MemberProbe) return { name, answer: await probe.look() };
  const fault: ProbeFault = {
    kind: "no-address",
    words: `cannot be asked (${probe.why})`,
    silentMs: null,
  };
  return { name, answer: fault };
}

function takesWrites(answer: ProbeAnswer | ProbeFault): boolean {
  return !isFault(answer) && !answer.standby && !answer.readOnly;
}

function progressOf({ name, answer }: ProbedMember): {
  readonly name: string;
  readonly progress: ProbeAnswer["progress"];
} {
  return { name, progress: isFault(answer) ? null : answer.progress };
}
