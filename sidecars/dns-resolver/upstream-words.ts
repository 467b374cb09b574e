/**
 * The notation of upstreams, `IP[:PORT],…;ZONE=IP[:PORT],…`: the part without a zone is for everything
 * else; a zone with nobody behind it is asked nowhere. It stands in a variable, or in a file that is
 * read again while the resolver runs. Lists of addresses and names of zones are read here too.
 */
import { ConfigError } from "../../config/config-error.ts";
import { contentOf } from "../../config/secret-variable.ts";
import { hostValue, ipAddressValue, isIpAddress } from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { dnsPort } from "./contract.ts";
import { checkUpstreams } from "./forward/settings.ts";
import type { UpstreamChoice } from "./forward/settings.ts";
import { nameFromText } from "./wire/names.ts";

const upstreamsMax = 16;

/** The variable that holds the upstreams, and the one that names the file with them. */
export const upstreamVariables = {
  itself: "DNS_RESOLVER_UPSTREAMS",
  file: "DNS_RESOLVER_UPSTREAMS_FILE",
} as const;

/** The parts of a list that hold something, without the space around them. */
export function listed(text: string, separator = ","): string[] {
  return text
    .split(separator)
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/**
 * A comma list of at most `most` IP addresses, each once, with or without a port (53); `name` says in
 * errors where it stands.
 * @throws ConfigError
 */
export function addresses(name: string, text: string, most: number): Address[] {
  const read = listed(text).map((one) => {
    const result = ipAddressValue.safeParse(withPort(one));
    if (result.success) return result.data;
    throw new ConfigError(
      `${name}: ${JSON.stringify(one.slice(0, 100))} is no IP address or IP:port`,
    );
  });
  const keys = read.map(formatAddress);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new ConfigError(`${name}: ${twice} stands twice`);
  if (read.length > most) throw new ConfigError(`${name}: more than ${most} addresses`);
  return read;
}

function withPort(text: string): string {
  if (/^[0-9.]+$|^\[[^\]]*\]$/.test(text)) return `${text}:${dnsPort}`;
  const isBareIpv6 = text.split(":").length > 2 && !text.startsWith("[");
  return isBareIpv6 ? `[${text}]:${dnsPort}` : text;
}

/**
 * The name of a zone in lower case, without its last dot; `name` says in errors where it stands.
 * @throws ConfigError
 */
export function zoneName(name: string, text: string): string {
  const zone = text.toLowerCase().replace(/\.$/, "");
  try {
    if (!hostValue.safeParse(zone).success || isIpAddress(zone)) throw new Error("it is no domain");
    nameFromText(zone);
  } catch (cause) {
    const said = (cause as Error).message;
    throw new ConfigError(`${name}: ${JSON.stringify(text.slice(0, 100))}: ${said}`, { cause });
  }
  return zone;
}

/**
 * Reads the notation; none of the upstreams may be one of `own`. `name` says in errors where it stands.
 * @throws ConfigError
 */
export function parseUpstreams(
  name: string,
  text: string,
  own: readonly Address[],
): Pick<UpstreamChoice, "upstreams" | "zones"> {
  const parts = listed(text, ";").map((part) => {
    const mark = part.indexOf("=");
    const upstreams = addresses(name, part.slice(mark + 1), upstreamsMax);
    return { zone: mark < 0 ? "" : zoneName(name, part.slice(0, mark).trim()), upstreams };
  });
  const names = parts.map(({ zone }) => zone);
  const twice = names.find((zone, index) => names.indexOf(zone) !== index);
  if (twice === "") throw new ConfigError(`${name}: two lists without a zone: use commas`);
  if (twice !== undefined) throw new ConfigError(`${name}: the zone ${twice} stands twice`);
  const upstreams = parts.find(({ zone }) => zone === "")?.upstreams ?? [];
  const choice = { upstreams, zones: parts.filter(({ zone }) => zone !== "") };
  try {
    checkUpstreams(choice, own);
  } catch (cause) {
    throw new ConfigError(`${name}: ${(cause as Error).message}`, { cause });
  }
  return choice;
}

/**
 * Reads the upstreams that stand in `file`.
 * @throws ConfigError, also when the file cannot be read
 */
export async function readUpstreamsFile(
  file: string,
  own: readonly Address[],
): Promise<Pick<UpstreamChoice, "upstreams" | "zones">> {
  const { file: name } = upstreamVariables;
  return parseUpstreams(`${name}: ${file}`, await contentOf(name, file), own);
}
