/** Waits for what the control of a member's host says of its Postgres. */
import { eventually } from "../../kit/clock.ts";
import type { HostControl, HostFacts } from "../../router/postgres/control/contract.ts";

type AwaitFacts = (
  host: HostControl,
  what: string,
  holds: (facts: HostFacts) => boolean,
) => Promise<HostFacts>;

/** What looks at a host, as often and as long as `patience` says, until the facts hold. */
export function factsWithin(patience: {
  readonly deadlineMs: number;
  readonly intervalMs: number;
}): AwaitFacts {
  const { signal } = new AbortController();
  return (host, what, holds) =>
    eventually(`${host.member}: ${what}`, patience, async () => {
      const facts = await host.inspect(signal);
      return holds(facts) ? facts : undefined;
    });
}
