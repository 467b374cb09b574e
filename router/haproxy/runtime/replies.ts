/**
 * Reads what a Runtime API connection answers to `set severity-output number;CMD[;CMD…]`: an empty
 * line for the first, then one reply for each command, then the end of the stream. A stream that
 * ends too early, is too long, or is not HAProxy's is never taken for an answer.
 */
export interface Reply {
  /** 3 error, 4 warning, 5 notice, 6 information; undefined for data and for silence. */
  readonly severity: number | undefined;
  readonly text: string;
}

/** Why bytes are no answer; `fault` is for the caller to tell them apart. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  readonly code = "ERR_HAPROXY_REPLY";
  readonly fault: "truncated" | "too-long" | "foreign";
  constructor(fault: ReplyError["fault"], message: string) {
    super(message);
    this.fault = fault;
  }
}

/** The most bytes that are taken as one answer. */
const replyLimitBytes = 8 * 1024 * 1024;

export interface ReplyReader {
  /** Takes the next bytes of the stream. @throws ReplyError as soon as they can be no answer */
  push(bytes: Uint8Array): void;
  /** The stream has ended well: the whole text. @throws ReplyError when it ended in the middle */
  end(): string;
  /** The text so far, for messages. */
  soFar(): string;
}

/**
 * Makes a reader for one connection. `first` is what the answer must begin with: "\n" (the answer
 * to `set severity-output`) on a worker's socket, "" on the master's, which may not know it.
 */
export function createReplyReader(first: string, limitBytes = replyLimitBytes): ReplyReader {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const soFar = (): string => {
    const decoder = new TextDecoder();
    return chunks.map((one) => decoder.decode(one, { stream: true })).join("") + decoder.decode();
  };
  return {
    push(bytes) {
      if (bytes.length === 0) return;
      chunks.push(bytes);
      size += bytes.length;
      if (size > limitBytes) throw new ReplyError("too-long", `more than ${limitBytes} bytes`);
      if (chunks.length === 1 && first !== "" && soFar()[0] !== first[0]) throw foreign(soFar());
    },
    end() {
      const text = soFar();
      if (text === "") throw new ReplyError("truncated", "closed the connection without an answer");
      if (!text.endsWith("\n")) {
        throw new ReplyError("truncated", `the answer ends after ${size} bytes, inside a line`);
      }
      return text;
    },
    soFar,
  };
}

function foreign(text: string): ReplyError {
  const [line = ""] = text.split("\n");
  const hint = line.startsWith("Unknown command") ? " (is this the master's socket?)" : "";
  const shown = JSON.stringify(line.slice(0, 60));
  return new ReplyError("foreign", `not HAProxy's Runtime API: it said ${shown}${hint}`);
}

/**
 * Splits a whole answer into the replies of its commands, in order. `kinds` says of each command
 * whether it answers with data.
 * @throws ReplyError when replies are missing, or data does not end with its empty line
 */
export function splitReplies(text: string, kinds: readonly { answers: boolean }[]): Reply[] {
  const lines = text.split("\n");
  // The piece behind the last line end is no line; the first line answers `set severity-output`.
  lines.pop();
  const replies: Reply[] = [];
  let at = 1;
  for (const kind of kinds) {
    const { reply, next } = takeReply(lines, at, kind.answers);
    replies.push(reply);
    at = next;
  }
  return replies;
}

function takeReply(
  lines: readonly string[],
  at: number,
  answers: boolean,
): { reply: Reply; next: number } {
  const head = lines[at];
  if (head === undefined) throw new ReplyError("truncated", "a reply is missing at the end");
  const severity = /^\[([0-9])\]: /.exec(head)?.[1];
  if (head === "") return { reply: { severity: undefined, text: "" }, next: at + 1 };
  let end = at + 1;
  // 2.6 leaves out the empty line behind some errors: the next reply's prefix ends them as well.
  while (end < lines.length && lines[end] !== "" && !isNextReply(lines, end, severity)) end += 1;
  if (severity === undefined && answers && lines[end] !== "") {
    throw new ReplyError("truncated", `the data ends after ${end - at} lines, before its last`);
  }
  const text = lines.slice(at, end).join("\n");
  return {
    reply: {
      severity: severity === undefined ? undefined : Number(severity),
      text: severity === undefined ? text : text.slice("[N]: ".length),
    },
    next: lines[end] === "" ? end + 1 : end,
  };
}

function isNextReply(lines: readonly string[], at: number, severity: string | undefined): boolean {
  return severity !== undefined && /^\[[0-9]\]: /.test(lines[at] ?? "");
}

export type Refusal = "permission" | "unknown-command" | "refused";

/** What a reply to a changing command means when it is no success; undefined for success. */
export function refusalOf(reply: Reply): Refusal | undefined {
  if (reply.text.startsWith("Permission denied")) return "permission";
  // [6] is also "Done."; an unknown command comes with the same severity.
  if (reply.text.startsWith("Unknown command")) return "unknown-command";
  if (reply.severity === 3) return "refused";
  // [4] is success ("port changed from …") and failure alike; what fails is told by its words.
  return reply.severity === 4 && /invalid|fail|cannot|can't|problem/i.test(reply.text)
    ? "refused"
    : undefined;
}

/** The first line of a reply, as it stands in messages. */
export function firstLine(text: string): string {
  return text.split("\n").find((line) => line.trim() !== "") ?? "";
}
