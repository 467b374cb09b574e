/** `show info`: which HAProxy answers, since when, and whether it is on its way out. */
export interface ProcessInfo {
  /** As HAProxy prints it, such as 2.6.12-1+deb12u4. */
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** True for a worker that a reload has told to end when its sessions end. */
  readonly stopping: boolean;
  readonly connections: number;
  readonly node: string;
}

/**
 * Parses the answer of `show info`, by names.
 * @throws TypeError when it has no version or no pid
 */
export function parseInfo(text: string): ProcessInfo {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) values.set(line.slice(0, colon), line.slice(colon + 2).trim());
  }
  const version = values.get("Version") ?? "";
  const pid = Number(values.get("Pid"));
  if (!/^[0-9]+\.[0-9]+/.test(version) || !Number.isInteger(pid)) {
    throw new TypeError("show info: no Version or no Pid in the answer");
  }
  return {
    version,
    pid,
    uptimeSeconds: Number(values.get("Uptime_sec") ?? 0),
    stopping: values.get("Stopping") === "1",
    connections: Number(values.get("CurrConns") ?? 0),
    node: values.get("node") ?? "",
  };
}

/** True when `version` is `minimum` (such as 2.6 or 3.0.6) or newer. */
export function isAtLeast(version: string, minimum: string): boolean {
  const numbers = (text: string): number[] =>
    (/^[0-9.]+/.exec(text)?.[0] ?? "").split(".").map(Number);
  const has = numbers(version);
  for (const [index, wanted] of numbers(minimum).entries()) {
    const part = has[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
