/**
 * What happens to names, in lines for an operator: of the resolution's events those that tell something
 * new. Pure.
 */
import type { BackendEvent } from "../watch/events.ts";

export interface NameLine {
  readonly backend: string;
  readonly hostname: string;
  readonly event: string;
  readonly says: string;
}

type Data = Readonly<Record<string, unknown>>;

/** More addresses than this are counted, not listed. */
const mostListed = 10;

function listOf(value: unknown): string {
  if (!Array.isArray(value) || value.length === 0) return "nobody";
  const listed = value.slice(0, mostListed).map(String).join(", ");
  const left = value.length - mostListed;
  return left > 0 ? `${listed} and ${left} more` : listed;
}

function seconds(ms: unknown): string {
  return typeof ms === "number" ? `${Math.round(ms / 1000)} s` : "some time";
}

/** What stands when a question fails. */
function standing(data: Data): string {
  return data["usingLastKnown"] === true
    ? `goes on with ${listOf(data["ips"])}`
    : "nothing stands of it";
}

/** Why a question failed; the line names the name already. */
function causeOf(data: Data): string {
  return String(data["error"]).replace(/^look up \S+: /, "");
}

const sayings: Readonly<Record<BackendEvent["type"], (data: Data) => string | undefined>> = {
  // Told by dns-changed where it tells anything.
  "dns-resolved": () => undefined,
  "dns-changed": (data) => {
    const ttl = typeof data["ttlSeconds"] === "number" ? `, TTL ${data["ttlSeconds"]} s` : "";
    const why = typeof data["reason"] === "string" && data["reason"] !== "answer";
    const cause = why ? ` (${String(data["reason"])})` : ttl;
    const old = Array.isArray(data["old"]) && data["old"].length > 0;
    return `is ${listOf(data["new"])}${cause}${old ? `; it was ${listOf(data["old"])}` : ""}`;
  },
  "dns-failed": (data) =>
    // The first of a row, and what is another failure than before; the rest repeat it.
    data["failures"] === 1 || data["before"] !== undefined
      ? `${causeOf(data)}; ${standing(data)}`
      : undefined,
  "dns-stale": (data) =>
    data["source"] === "last-known"
      ? `does not resolve: begins with ${listOf(data["ips"])}, known ${seconds(data["ageMs"])} ago`
      : undefined,
  "dns-recovered": (data) => {
    const failures = data["failures"] === 1 ? "1 failure" : `${String(data["failures"])} failures`;
    return `resolves again after ${failures} in ${seconds(data["downMs"])}`;
  },
};

/** The lines of an event; none for what tells nothing new. */
export function namesLines({ type, proxyName, hostname, data }: BackendEvent): NameLine[] {
  const says = sayings[type](data);
  return says === undefined ? [] : [{ backend: proxyName, hostname, event: type, says }];
}
