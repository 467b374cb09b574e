/**
 * SRV records as backends (RFC 2782): of the lowest priority that has an address, each record's
 * weight shared among the addresses of its name.
 */
import type { SrvRecord } from "node:dns";
import { foundOrEmpty, isPort } from "./merge.ts";
import type { RawAddress } from "./merge.ts";
import { failedWith } from "./outcome.ts";
import type { Found, Outcome } from "./outcome.ts";

/** More names behind one are not asked for. */
const mostNames = 64;

interface Named {
  readonly record: SrvRecord;
  readonly outcome: Outcome;
}

/**
 * Resolves the names of SRV records by `resolve` and joins them. Where a name could not be asked,
 * nothing that stands is known to be gone; a failure where no name of the lowest priority has an
 * address and one could not be asked.
 */
export async function readSrvRecords(
  srv: string,
  records: readonly SrvRecord[],
  resolve: (name: string) => Promise<Outcome>,
): Promise<Outcome> {
  // One record with the name "." says that there is no such service; nobody listens on port 0.
  const real = records
    .filter(({ name, port }) => name !== "" && name !== "." && isPort(port))
    .slice(0, mostNames);
  const priorities = [...new Set(real.map(({ priority }) => priority))].toSorted((a, b) => a - b);
  for (const priority of priorities) {
    const group = real.filter((record) => record.priority === priority);
    const asked = await Promise.all(
      group.map(async (record): Promise<Named> => ({
        record,
        outcome: await resolve(record.name),
      })),
    );
    const joined = join(srv, asked);
    if (joined !== undefined) return joined;
  }
  return failedWith(`look up the SRV records of ${srv}`, { code: "ENODATA" });
}

/** Undefined when no name of the group has an address, and all could be asked. */
function join(srv: string, group: readonly Named[]): Outcome | undefined {
  const found = group.flatMap(({ record, outcome }) =>
    outcome.kind === "found" ? [{ record, outcome }] : [],
  );
  const unasked = group
    .map(({ outcome }) => outcome)
    .filter((one) => one.kind === "failed" && ["servfail", "timeout"].includes(one.failure));
  if (found.length === 0) return unasked[0];
  const ttls = found.flatMap(({ outcome }) => outcome.ttlSeconds ?? []);
  const unknown = new Set(found.flatMap(({ outcome }) => outcome.unknown));
  const outcome = foundOrEmpty(`look up the SRV records of ${srv}`, found.flatMap(shares), {
    ttlSeconds: ttls.length === 0 ? undefined : Math.min(...ttls),
    source: "dns",
    unknown: unasked.length > 0 ? [4, 6] : [...unknown],
  });
  const leftOut = group.flatMap((one) => one.outcome.leftOut ?? []);
  return leftOut.length === 0 ? outcome : { ...outcome, leftOut: [...new Set(leftOut)] };
}

function shares({ record, outcome }: { record: SrvRecord; outcome: Found }): RawAddress[] {
  const share = record.weight / outcome.addresses.length;
  return outcome.addresses.map(({ ip }) => ({ ip, port: record.port, share }));
}
