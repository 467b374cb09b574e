/**
 * What the relay in a container prints: for each connection, what HAProxy answered, byte for byte,
 * and then `MARK code words MARK`, where `words` are socat's. Bytes come in any pieces.
 */

/** How one connection ended. */
export interface RelayEnd {
  /** The exit code of socat; 127 where there is none. */
  readonly code: number;
  /** What it said, on one line; "" when it said nothing. */
  readonly said: string;
}

export interface RelayReader {
  /** Takes the next bytes; tells of what they hold, in order. @throws RelayFrameError */
  push(bytes: Uint8Array): (Uint8Array | RelayEnd)[];
}

/** The program in the container printed what a relay does not. */
export class RelayFrameError extends Error {
  override readonly name = "RelayFrameError";
  readonly code = "ERR_RELAY_FRAME";
}

/**
 * The shell program: `$1` is the mark. It says that it is there by the end of no connection; each
 * path that it reads is a connection, made at once, which takes what comes next. What is no path is a
 * line that no connection has taken, and ends it.
 */
export const relayScript = `exec 3>&1
printf '%s 0  %s\\n' "$1" "$1"
while read -r path; do
  case $path in /*) ;; *) exit 1 ;; esac
  said=$(socat -t0 - "UNIX-CONNECT:$path" 2>&1 >&3)
  printf '%s %d %s %s\\n' "$1" "$?" "$said" "$1"
done`;

const saidLimit = 4096;
const frame = /^ ([0-9]{1,3}) ([^]*)$/;

/**
 * Reads what a relay prints that was given `mark`, a word that no answer contains.
 */
export function createRelayReader(mark: string): RelayReader {
  const open = Buffer.from(mark);
  const close = Buffer.from(` ${mark}\n`);
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(bytes) {
      const found: (Uint8Array | RelayEnd)[] = [];
      rest = rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([rest, bytes]);
      while (rest.length > 0) {
        const at = rest.indexOf(open);
        const data = rest.subarray(0, at < 0 ? rest.length - begun(rest, open) : at);
        if (data.length > 0) found.push(data);
        rest = rest.subarray(data.length);
        if (at < 0) break;
        const end = rest.indexOf(close, open.length);
        if (end < 0) {
          if (rest.length > saidLimit) throw new RelayFrameError("a mark without an end");
          break;
        }
        found.push(parseEnd(rest.toString("utf8", open.length, end)));
        rest = rest.subarray(end + close.length);
      }
      return found;
    },
  };
}

/** How many bytes at the end of `bytes` may be the beginning of `mark`. */
function begun(bytes: Buffer, mark: Buffer): number {
  for (let size = Math.min(mark.length - 1, bytes.length); size > 0; size -= 1) {
    if (bytes.subarray(bytes.length - size).equals(mark.subarray(0, size))) return size;
  }
  return 0;
}

function parseEnd(text: string): RelayEnd {
  const [, code, words = ""] = frame.exec(text) ?? [];
  if (code === undefined) throw new RelayFrameError(`not the end of an answer: ${text}`);
  // socat begins with the time, its name and its process: "2026/11/21 10:09:32 socat[43] E ".
  const said = words
    .replaceAll(/\S+ \S+ socat\[[0-9]+\] [A-Z] /g, "")
    .replaceAll(/\s*\n\s*/g, "; ");
  return { code: Number(code), said: said.trim() };
}
