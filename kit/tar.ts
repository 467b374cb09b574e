/**
 * The tar format as far as a Docker Engine's archive API speaks it: POSIX.1-1988 ustar, the long
 * names of GNU tar and pax (POSIX.1-2001) when read. Parts of a file may arrive in any pieces.
 */
import type { FileToWrite } from "./docker-engine.ts";

export interface TarEntry {
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  /** Where a link leads. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly content: Buffer;
}

/** The bytes are no tar archive, end too early, or are more than is taken. */
export class TarError extends Error {
  override readonly name = "TarError";
  readonly code = "ERR_TAR";
}

const block = 512;
const kinds: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "\0": "file",
  "2": "link",
  "5": "folder",
};
/** An entry that names the next one: GNU's long name, its long link, and pax's records. */
const naming: Readonly<Record<string, "name" | "target" | "pax" | "none">> = {
  L: "name",
  K: "target",
  x: "pax",
  g: "none",
};

interface Header {
  readonly type: string;
  readonly size: number;
  readonly entry: Omit<TarEntry, "content">;
}

/** Reads an archive piece by piece; `entries` grows as they are complete. */
export class TarReader {
  readonly entries: TarEntry[] = [];
  readonly #limitBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #header: Header | undefined;
  /** What was said about the next entry. */
  #next: { name?: string; target?: string } = {};
  #ended = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** @throws TarError */
  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limitBytes) throw new TarError(`more than ${this.#limitBytes} bytes`);
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (!this.#ended && this.#step());
  }

  /** @throws TarError when an entry is not whole */
  end(): void {
    if (this.#header !== undefined || (!this.#ended && this.#rest.length > 0)) {
      throw new TarError("the archive ends within a file");
    }
  }

  #step(): boolean {
    if (this.#header === undefined) {
      if (this.#rest.length < block) return false;
      const head = this.#rest.subarray(0, block);
      this.#rest = this.#rest.subarray(block);
      this.#ended = head.every((byte) => byte === 0);
      if (!this.#ended) this.#header = readHeader(head);
      return !this.#ended;
    }
    const { type, size, entry } = this.#header;
    const padded = Math.ceil(size / block) * block;
    if (this.#rest.length < padded) return false;
    const content = Buffer.from(this.#rest.subarray(0, size));
    this.#rest = this.#rest.subarray(padded);
    this.#header = undefined;
    const names = naming[type];
    if (names === undefined) {
      this.entries.push({ ...entry, ...this.#next, content });
      this.#next = {};
    } else if (names === "pax") {
      Object.assign(this.#next, paxNames(content));
    } else if (names !== "none") {
      this.#next[names] = textOf(content);
    }
    return true;
  }
}

function readHeader(head: Buffer): Header {
  const sum = head.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (numberAt(head, 148, 8) !== sum) throw new TarError("this is no tar archive");
  const type = String.fromCharCode(head[156] ?? 0);
  const [name, prefix] = [textOf(head.subarray(0, 100)), textOf(head.subarray(345, 500))];
  const isPosix = head.toString("latin1", 257, 263) === "ustar\0";
  const kind = kinds[type] ?? "other";
  return {
    type,
    // A folder's or a link's size means nothing.
    size: kind === "folder" || kind === "link" ? 0 : numberAt(head, 124, 12),
    entry: {
      name: isPosix && prefix !== "" ? `${prefix}/${name}` : name,
      kind,
      target: textOf(head.subarray(157, 257)),
      mode: numberAt(head, 100, 8) & 0o7777,
      uid: numberAt(head, 108, 8),
      gid: numberAt(head, 116, 8),
    },
  };
}

/** Octal digits, or GNU's binary numbers for what does not fit. */
function numberAt(head: Buffer, at: number, length: number): number {
  if (((head[at] ?? 0) & 0x80) !== 0) {
    return Number(BigInt(`0x${head.toString("hex", at + length - 6, at + length)}`));
  }
  const digits = textOf(head.subarray(at, at + length)).trim();
  if (!/^[0-7]*$/.test(digits)) throw new TarError("this is no tar archive");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** Records of "LENGTH KEY=VALUE\n". */
function paxNames(content: Buffer): { name?: string; target?: string } {
  const names: { name?: string; target?: string } = {};
  let at = 0;
  while (at < content.length) {
    const length = Number.parseInt(content.toString("latin1", at, at + 20), 10);
    if (!(length > 0)) throw new TarError("its pax records are broken");
    const [, key, value = ""] =
      /^\d+ ([^=]+)=(.*)\n$/s.exec(content.toString("utf8", at, at + length)) ?? [];
    if (key === "path") names.name = value;
    if (key === "linkpath") names.target = value;
    at += length;
  }
  return names;
}

/**
 * An archive of files. Owners are root where none is given.
 * @throws TarError for a path that ustar has no room for (155 bytes of folders, 100 of name)
 */
export function tarOf(files: readonly FileToWrite[]): Buffer {
  const parts = files.flatMap((file) => {
    const content = Buffer.from(file.content);
    const padding = Buffer.alloc((block - (content.length % block)) % block);
    return [headerOf(file, content.length), content, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function headerOf({ path, mode, uid = 0, gid = 0 }: FileToWrite, size: number): Buffer {
  const head = Buffer.alloc(block);
  const [prefix, name] = splitPath(path);
  head.write(name, 0);
  writeNumber(head, 100, 8, mode);
  writeNumber(head, 108, 8, uid);
  writeNumber(head, 116, 8, gid);
  writeNumber(head, 124, 12, size);
  writeNumber(head, 136, 12, 0);
  head.write("0", 156);
  head.write("ustar\x0000", 257, "latin1");
  head.write(prefix, 345);
  head.write("        ", 148);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return head;
}

function writeNumber(head: Buffer, at: number, length: number, value: number): void {
  const digits = value.toString(8);
  if (digits.length >= length) throw new TarError(`no room for the number ${value}`);
  head.write(`${digits.padStart(length - 1, "0")}\0`, at);
}

function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ["", path];
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, name];
  }
  throw new TarError(`${path} is too long for an archive`);
}
