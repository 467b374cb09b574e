/**
 * Which HAProxy there is and what it can do: reads `haproxy -vv` and keeps the table of features
 * that came with a version.
 */
import { isAtLeast } from "./runtime/info.ts";

export interface HaproxyBuild {
  /** As printed, such as 2.6.12-1+deb12u4. */
  readonly version: string;
  /** Services built in, such as prometheus-exporter; undefined where nobody could say. */
  readonly services: readonly string[] | undefined;
}

/**
 * What the rendered configuration depends on. `init-state down` (3.1) is not among it: a server
 * that tracks one which starts that way stays up for ever (seen on 3.2.26), so all versions get the
 * boot window instead.
 */
export interface HaproxyFeatures {
  /** The Prometheus exporter answers on /metrics. */
  readonly prometheus: boolean;
}

/** The HAProxy at hand is missing, unreadable or too old. */
export class HaproxyVersionError extends Error {
  override readonly name = "HaproxyVersionError";
  readonly code: "ERR_HAPROXY_MISSING" | "ERR_HAPROXY_TOO_OLD";
  constructor(code: HaproxyVersionError["code"], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The oldest HAProxy that is supported. */
export const oldestVersion = "2.6";

/** The text itself where it is a version such as `2.6.12-1+deb12u4` or `3.0.11`, else undefined. */
export function parseVersion(text: string): string | undefined {
  return /^[0-9]{1,3}\.[0-9]{1,3}(?:[.-][0-9A-Za-z.+~-]*)?$/.test(text) ? text : undefined;
}

/**
 * Reads what `haproxy -vv` printed.
 * @returns undefined when it is not HAProxy's output
 */
export function parseBuild(printed: string): HaproxyBuild | undefined {
  const text = /^HA-?Proxy version (\S+)/m.exec(printed)?.[1];
  const version = text === undefined ? undefined : parseVersion(text);
  if (version === undefined) return undefined;
  const services = /^Available services : *(.*)$/m.exec(printed)?.[1];
  return {
    version,
    services: services?.split(/[\s,]+/).filter((one) => one !== "" && one !== "none"),
  };
}

/**
 * The features of a build. `where` says which HAProxy is meant, for the error.
 * @throws HaproxyVersionError when it is older than 2.6
 */
export function featuresOf(build: HaproxyBuild, where: string): HaproxyFeatures {
  const { version } = build;
  if (!isAtLeast(version, oldestVersion)) {
    throw new HaproxyVersionError(
      "ERR_HAPROXY_TOO_OLD",
      `${where} is HAProxy ${version}: ${oldestVersion} or newer is needed`,
    );
  }
  return {
    prometheus: build.services === undefined || build.services.includes("prometheus-exporter"),
  };
}
