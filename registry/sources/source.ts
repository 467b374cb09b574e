/**
 * What a role source is: something that looks at a cluster and says when it is worth to look again.
 * Silence is an observation too, so a look never rejects.
 */
import type { Clock } from "../../kit/clock.ts";
import type { Logger } from "../../kit/logger.ts";
import type { RoleSourceKeys } from "../contract.ts";
import type { MemberPlace } from "../records.ts";
import type { Observation } from "../roles/observation.ts";

/** A member as a source reaches it. */
export interface SourceMember {
  readonly name: string;
  /** Or why it is not reached. */
  readonly place: MemberPlace | { readonly why: string };
}

export interface RoleSource {
  /** How long to wait for news before the next look, in ms. */
  readonly intervalMs: number;
  /** Looks now; one look at a time. */
  look(): Promise<Observation>;
  /** The members as they are from now on. */
  setMembers(members: readonly SourceMember[]): void;
  /** Lets go of its connections; waits for no peer. */
  stop(): void;
}

export interface SourceOptions {
  /** Names the cluster in messages. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when there may be something new to see; the answer is a look. */
  readonly onNews: () => void;
}

type Maker<Kind extends RoleSourceKeys["kind"]> = (
  keys: Extract<RoleSourceKeys, { kind: Kind }>,
  options: SourceOptions,
) => RoleSource;

/** One maker for each kind of source. */
export type SourceMakers = { readonly [Kind in RoleSourceKeys["kind"]]: Maker<Kind> };

/** The time now as an observation carries it: ISO 8601. */
export function isoNow(clock: Clock): string {
  return new Date(clock.now()).toISOString();
}

const idleMs = 60_000;

/** The source of a cluster that has none: it has nothing to see, and never news. */
export function noSource(options: Pick<SourceOptions, "clock">): RoleSource {
  return {
    intervalMs: idleMs,
    look: () => Promise.resolve({ kind: "none", at: isoNow(options.clock) }),
    setMembers: () => undefined,
    stop: () => undefined,
  };
}
