/**
 * The question that a resolver asks itself, at each address that it answers on: the zone's SOA, whose
 * serial is the generation. So what is told to the registry was seen, as an app would see it.
 */
import { reachableAddress } from "../../../config/values.ts";
import { formatAddress } from "../../../kit/address.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import { askName } from "../client.ts";
import type { ListenState } from "./listeners.ts";

/** By address, as host:port, what is wrong there; an address that answers as it should is not in it. */
export type Faults = ReadonlyMap<string, string>;

const askDeadlineMs = 500;

/** Asks every bound address for the SOA of `zone`, side by side; its serial is to be `generation`. */
export async function proveAddresses(
  states: readonly ListenState[],
  zone: string,
  generation: number,
): Promise<Faults> {
  const bound = states.filter(({ state }) => state === "bound");
  const found = await Promise.all(
    bound.map(async ({ address }) => {
      const fault = await faultAt(address, zone, generation);
      return fault === undefined ? [] : [[formatAddress(address), fault] as const];
    }),
  );
  return new Map(found.flat());
}

async function faultAt(
  address: ListenState["address"],
  zone: string,
  generation: number,
): Promise<string | undefined> {
  const question = { name: zone, type: "SOA", deadlineMs: askDeadlineMs } as const;
  try {
    const answer = await askName({ address: reachableAddress(address), ...question });
    // A serial has 32 bits (RFC 1035 3.3.13).
    if (answer.authoritative && answer.serial === generation >>> 0) return undefined;
    const said = `${answer.rcode}, serial ${answer.serial ?? "none"}`;
    return `it answers itself with ${said}, and not with generation ${generation}`;
  } catch (error) {
    return `it does not answer itself: ${faultWords(error)}`;
  }
}
