/**
 * Reads what `kamal config` prints: YAML with Ruby's symbols as keys (`:accessories:`), the raw
 * accessories of deploy.yml and its destination merged. What is not understood and not needed is
 * left alone: other accessories are none of ours.
 */
import { parseDocument } from "yaml";
import { isIpAddress } from "./values.ts";

/** A port that an accessory publishes. */
export interface PublishedPort {
  /** The address of the host; undefined where it is published on all of them. */
  readonly host: string | undefined;
  readonly port: number;
  readonly containerPort: number;
}

export interface KamalAccessory {
  readonly name: string;
  readonly container: string;
  /** Undefined where it is placed by role or tag, which the output does not resolve. */
  readonly hosts: readonly string[] | undefined;
  readonly published: readonly PublishedPort[];
  readonly labels: Readonly<Record<string, string>>;
  /** env.clear. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface KamalOutput {
  readonly accessories: ReadonlyMap<string, KamalAccessory>;
  /** Who Kamal logs in as on its hosts. */
  readonly sshUser: string;
  readonly sshPort: number;
}

/** A text that is not what `kamal config` prints; `path` is the place in it. */
export class KamalOutputError extends Error {
  override readonly name = "KamalOutputError";
  readonly code = "ERR_KAMAL_OUTPUT";
  constructor(path: string, message: string) {
    super(path === "" ? message : `${path}: ${message}`);
  }
}

/** A mapping of keys, as it is read from YAML. */
export type Tree = Readonly<Record<string, unknown>>;

const aliasLimit = 100;

/**
 * Parses the text.
 * @throws KamalOutputError
 */
export function parseKamalOutput(text: string): KamalOutput {
  const top = plainOf(text);
  const accessories = top["accessories"];
  if (!isTree(accessories)) {
    throw new KamalOutputError(
      "accessories",
      "expected a mapping, as `kamal config` prints it; it is missing",
    );
  }
  const service = serviceOf(top);
  const ssh = isTree(top["ssh_options"]) ? top["ssh_options"] : {};
  const user = ssh["user"];
  const port = ssh["port"];
  return {
    accessories: new Map(
      Object.entries(accessories).map(([name, one]) => [name, accessoryOf(name, one, service)]),
    ),
    sshUser: typeof user === "string" ? user : "root",
    sshPort: typeof port === "number" ? port : 22,
  };
}

function plainOf(text: string): Tree {
  const document = parseDocument(text, { uniqueKeys: true, logLevel: "silent" });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const at = /at line \d+, column \d+/.exec(problem.message)?.[0] ?? "";
    throw new KamalOutputError("", `not YAML ${at}`.trim());
  }
  let plain: unknown;
  try {
    plain = withoutSymbols(document.toJS({ maxAliasCount: aliasLimit }));
  } catch {
    // The parser's own words quote the file.
    throw new KamalOutputError("", "its YAML aliases (*) cannot be followed");
  }
  if (isTree(plain)) return plain;
  throw new KamalOutputError("", "expected a mapping at the top, as `kamal config` prints it");
}

/** `:accessories` becomes accessories, at every depth; values stay as they are. */
function withoutSymbols(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSymbols);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key.replace(/^:/, ""), withoutSymbols(one)]),
  );
}

/** True for a mapping of keys. */
export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The service is not printed alone: `service_with_version` without `version` is it. */
function serviceOf(top: Tree): string | undefined {
  const [whole, version] = [top["service_with_version"], top["version"]].map((one) =>
    typeof one === "string" || typeof one === "number" ? String(one) : undefined,
  );
  if (whole === undefined || version === undefined) return undefined;
  return whole.endsWith(`-${version}`) ? whole.slice(0, -version.length - 1) : undefined;
}

function accessoryOf(name: string, given: unknown, service: string | undefined): KamalAccessory {
  const path = `accessories.${name}`;
  if (!isTree(given)) throw new KamalOutputError(path, "expected a mapping of keys");
  const own = given["service"];
  const container = typeof own === "string" ? own : service && `${service}-${name}`;
  if (container === undefined) {
    throw new KamalOutputError(
      "service_with_version",
      `expected the service and :version: behind it, since the container of accessory ${name} is named after the service`,
    );
  }
  const options = isTree(given["options"]) ? given["options"] : {};
  const env = isTree(given["env"]) ? given["env"] : {};
  return {
    name,
    container,
    hosts: hostsOf(given, path),
    published: [
      ...ports(given["port"], `${path}.port`),
      ...ports(options["publish"], `${path}.options.publish`),
    ],
    labels: texts(given["labels"]),
    variables: texts(env["clear"] ?? env),
  };
}

function hostsOf(given: Tree, path: string): readonly string[] | undefined {
  const { host, hosts } = given;
  if (typeof host === "string") return [host];
  if (hosts === undefined) return undefined;
  if (Array.isArray(hosts) && hosts.every((one) => typeof one === "string")) return hosts;
  throw new KamalOutputError(`${path}.hosts`, "expected a list of hosts");
}

function texts(value: unknown): Readonly<Record<string, string>> {
  if (!isTree(value)) return {};
  const kept = Object.entries(value).filter(([, one]) => ["string", "number"].includes(typeof one));
  return Object.fromEntries(kept.map(([key, one]) => [key, String(one)]));
}

/** What `docker run --publish` takes: [ip:][port:]port, a protocol after it. */
const publishPattern = /^(?:(?:\[([^\]]+)\]|([0-9.]+)):)?(?:([0-9]{1,5}):)?([0-9]{1,5})(?:\/tcp)?$/;

function ports(value: unknown, path: string): PublishedPort[] {
  if (value === undefined || value === null) return [];
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((one): PublishedPort[] => {
    const text = typeof one === "number" ? String(one) : one;
    const match = typeof text === "string" ? publishPattern.exec(text) : null;
    // Ranges and other protocols are right for others, and never ours.
    if (match === null && typeof text === "string" && /-|\/(udp|sctp)$/.test(text)) return [];
    const [, v6, v4, port, containerPort] = match ?? [];
    const host = v6 ?? v4;
    const isRight = match !== null && (host === undefined || isIpAddress(host));
    if (!isRight)
      throw new KamalOutputError(path, "expected ip:port:port, such as 100.64.0.1:5432:5432");
    const isOpen = host === undefined || host === "0.0.0.0" || host === "::";
    return [
      {
        host: isOpen ? undefined : host,
        port: Number(port ?? containerPort),
        containerPort: Number(containerPort),
      },
    ];
  });
}
