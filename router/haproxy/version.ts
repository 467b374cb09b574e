/**
 * Which HAProxy there is and what it can do: reads `haproxy -vv` and keeps the table of features
 * that came with a version.
 */
export interface HaproxyVersion {
  /** As printed, such as 2.6.12-1+deb12u4. */
  readonly text: string;
  readonly major: number;
  readonly minor: number;
}

export interface HaproxyBuild {
  readonly version: HaproxyVersion;
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

const oldest = { major: 2, minor: 6 };

/**
 * Reads a version such as `2.6.12-1+deb12u4` or `3.0.11`.
 * @returns undefined when the text is not a version
 */
export function parseVersion(text: string): HaproxyVersion | undefined {
  const match = /^([0-9]{1,3})\.([0-9]{1,3})(?:[.-][0-9A-Za-z.+~-]*)?$/.exec(text);
  if (match === null) return undefined;
  return { text, major: Number(match[1]), minor: Number(match[2]) };
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
  if (!isAtLeast(version, oldest)) {
    throw new HaproxyVersionError(
      "ERR_HAPROXY_TOO_OLD",
      `${where} is HAProxy ${version.text}: ${oldest.major}.${oldest.minor} or newer is needed`,
    );
  }
  return {
    prometheus: build.services === undefined || build.services.includes("prometheus-exporter"),
  };
}

function isAtLeast(
  version: Pick<HaproxyVersion, "major" | "minor">,
  wanted: { major: number; minor: number },
): boolean {
  if (version.major !== wanted.major) return version.major > wanted.major;
  return version.minor >= wanted.minor;
}
