/** What dns-resolver is told by its environment variables. */
import { ConfigError } from "../../config/config-error.ts";
import { needed, secretVariable } from "../../config/secret-variable.ts";
import type { Secret } from "../../config/secret.ts";
import type { SidecarSource } from "../../config/sidecar-words.ts";
import { readVariables } from "../../config/variables.ts";
import type { Address } from "../../kit/address.ts";
import type { UpstreamChoice } from "./forward/settings.ts";
import type { EngineName } from "./engine/open.ts";
import type { ZoneSettings } from "./parts.ts";
import {
  addresses,
  listed,
  parseUpstreams,
  readUpstreamsFile,
  upstreamVariables,
  zoneName,
} from "./upstream-words.ts";
import { variableTable } from "./variables.ts";
import type { Variables } from "./variables.ts";

export interface Settings {
  readonly listen: readonly Address[];
  readonly statusListen: Address;
  readonly zone: ZoneSettings;
  readonly engine: "auto" | EngineName;
  /** http://host:port or https://host:port */
  readonly registry: string;
  readonly node: number;
  readonly token: Secret;
  /** The folder of the snapshot. */
  readonly folder: string;
  /** Who is asked for what is outside the zone. */
  readonly upstreams: UpstreamChoice;
  /** Where they are read from, also later; undefined: they stay. */
  readonly upstreamsFile: string | undefined;
  readonly logLevel: string;
}

const listensMax = 32;

/**
 * Reads the settings.
 * @throws ConfigError, VariableError
 */
export async function readSettings({ variables }: SidecarSource): Promise<Settings> {
  const own = readVariables(variableTable, variables, { withEnvironment: false });
  const need = <T>(name: string, value: T | undefined): T => needed("dns-resolver", name, value);
  const listen = addresses("DNS_RESOLVER_LISTEN", own.DNS_RESOLVER_LISTEN ?? "", listensMax);
  if (listen.length === 0) throw new ConfigError("DNS_RESOLVER_LISTEN: names no address");
  const upstreams = await upstreamsOf(own, listen);
  const upstreamsFile = own.DNS_RESOLVER_UPSTREAMS_FILE;
  const aliases = listed(own.DNS_RESOLVER_ZONE_ALIASES ?? "");
  const zone = need("DNS_RESOLVER_ZONE", own.DNS_RESOLVER_ZONE);
  return {
    listen,
    statusListen: need("DNS_RESOLVER_STATUS_LISTEN", own.DNS_RESOLVER_STATUS_LISTEN),
    zone: {
      zone: zoneName("DNS_RESOLVER_ZONE", zone),
      aliases: aliases.map((one) => zoneName("DNS_RESOLVER_ZONE_ALIASES", one)),
      forwards: upstreamsFile !== undefined || forwards(upstreams),
      udpSizeMax: own.DNS_RESOLVER_UDP_SIZE ?? 1232,
      forwardZones: upstreams.zones.map((one) => one.zone),
      addresses: [...new Set(listen.map(({ host }) => host))].filter((host) => !isWildcard(host)),
    },
    engine: own.DNS_RESOLVER_ENGINE ?? "auto",
    registry: registryUrl(need("DNS_RESOLVER_REGISTRY", own.DNS_RESOLVER_REGISTRY)),
    node: need("DNS_RESOLVER_NODE", own.DNS_RESOLVER_NODE),
    token: await tokenOf(own),
    folder: need("DNS_RESOLVER_STATE", own.DNS_RESOLVER_STATE),
    upstreams,
    upstreamsFile,
    logLevel: own.DNS_RESOLVER_LOG_LEVEL ?? "info",
  };
}

/** A token goes into a header of HTTP, where other characters cannot stand (RFC 6750, 2.1). */
async function tokenOf(own: Variables): Promise<Secret> {
  const token = await secretVariable("DNS_RESOLVER_TOKEN", own);
  if (/^[\x21-\x7e]{1,256}$/.test(token.reveal())) return token;
  throw new ConfigError("DNS_RESOLVER_TOKEN: it is empty, too long, or has what no token has");
}

const isWildcard = (host: string): boolean => host === "0.0.0.0" || host === "::";

const forwards = ({ upstreams, zones }: UpstreamChoice): boolean =>
  [upstreams, ...zones.map((one) => one.upstreams)].some((list) => list.length > 0);

/** The upstreams stand in a variable or in a file. */
async function upstreamsOf(own: Variables, listen: readonly Address[]): Promise<UpstreamChoice> {
  const { itself, file } = upstreamVariables;
  const [text, path] = [own[itself], own[file]];
  if (text !== undefined && path !== undefined) {
    throw new ConfigError(`${itself} and ${file} are both set: set one of them`);
  }
  const read =
    path === undefined
      ? parseUpstreams(itself, text ?? "", listen)
      : await readUpstreamsFile(path, listen);
  return { ...read, hidesPrivate: own.DNS_RESOLVER_HIDE_PRIVATE === "yes" };
}

function registryUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined &&
    ["http:", "https:"].includes(url.protocol) &&
    [url.username, url.password, url.search, url.hash].every((one) => one === "") &&
    url.pathname === "/";
  if (isPlain) return url.origin;
  throw new ConfigError("DNS_RESOLVER_REGISTRY: expected a URL such as http://10.0.0.5:8053");
}
