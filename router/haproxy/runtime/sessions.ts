/** `show sess`: one line a session; only what an operator asks about is kept. */
import { parseAge } from "./proc.ts";

export interface Session {
  /** The name by which `shutdown session` knows it, such as 0x55d39d35d950. */
  readonly pointer: string;
  /** The client's address as HAProxy prints it, such as 10.0.0.7:51632. */
  readonly source: string;
  readonly frontend: string;
  /** undefined where no backend was chosen. */
  readonly backend: string | undefined;
  /** undefined for a session that waits in the queue. */
  readonly server: string | undefined;
  readonly ageSeconds: number;
}

/**
 * Parses the answer of `show sess`. Sessions of the Runtime API itself (frontend GLOBAL or MASTER)
 * are left out.
 * @throws TypeError for a line that is no session
 */
export function parseSessions(text: string): Session[] {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines
    .map((line) => parseLine(line))
    .filter((one) => one.frontend !== "GLOBAL" && one.frontend !== "MASTER");
}

function parseLine(line: string): Session {
  const match = /^(0x[0-9a-f]+): (.*)$/.exec(line);
  const words = new Map<string, string>();
  for (const part of (match?.[2] ?? "").split(" ")) {
    const equals = part.indexOf("=");
    if (equals > 0 && !part.includes("[")) words.set(part.slice(0, equals), part.slice(equals + 1));
  }
  const pointer = match?.[1];
  const frontend = words.get("fe");
  if (pointer === undefined || frontend === undefined) {
    throw new TypeError(`show sess: not a session: ${JSON.stringify(line.slice(0, 80))}`);
  }
  return {
    pointer,
    source: words.get("src") ?? "",
    frontend,
    backend: known(words.get("be")),
    server: known(words.get("srv")),
    ageSeconds: parseAge(words.get("age") ?? ""),
  };
}

function known(name: string | undefined): string | undefined {
  return name === undefined || /^<none>$/i.test(name) ? undefined : name;
}
