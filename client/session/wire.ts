/**
 * The few messages of the Postgres protocol that connecting is made of: framing of what a server
 * says, and what we say ourselves (manual 55.7 "Message Formats").
 */

/** One whole message of a server: its type letter and all its bytes, header included. */
export interface BackendMessage {
  readonly type: string;
  readonly bytes: Buffer;
}

/** What came is not the Postgres protocol. */
export class FramingError extends Error {
  override readonly name = "FramingError";
  readonly code = "ERR_PROTOCOL";
}

/** A type byte and an int32 that counts itself. */
const headerBytes = 5;
/** No message of a startup or of a role query comes near; what is larger is another protocol. */
const largestMessage = 1024 * 1024;

export interface Framer {
  /** Adds bytes in the order in which they came. */
  feed(chunk: Buffer): void;
  /** The next whole message, or undefined until more bytes are there. @throws FramingError */
  next(): BackendMessage | undefined;
  /** Gives back the bytes that no `next` has given, and forgets them. */
  rest(): Buffer;
}

/** Cuts a stream of bytes into the messages of a server. */
export function createFramer(): Framer {
  let buffer: Buffer = Buffer.alloc(0);
  return {
    feed: (chunk) => {
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
    },
    next: () => {
      if (buffer.length < headerBytes) return undefined;
      const type = String.fromCharCode(buffer.readUInt8(0));
      const length = buffer.readInt32BE(1);
      if (length < 4 || length > largestMessage) {
        const shown = JSON.stringify(type);
        throw new FramingError(`not a Postgres server: a message ${shown} of ${length} bytes`);
      }
      if (buffer.length < 1 + length) return undefined;
      const bytes = buffer.subarray(0, 1 + length);
      buffer = buffer.subarray(1 + length);
      return { type, bytes };
    },
    rest: () => {
      const rest = buffer;
      buffer = Buffer.alloc(0);
      return rest;
    },
  };
}

/** The name and the value of a ParameterStatus message. */
export function parameterStatus(bytes: Buffer): { readonly name: string; readonly value: string } {
  const [name = "", value = ""] = bytes.toString("utf8", headerBytes).split("\0");
  return { name, value };
}

/** A message of the given type around `body`. */
function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write(type, 0, "latin1");
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** AuthenticationOk: the server wants nothing more of the client. */
export const authenticationOk: Buffer = message("R", Buffer.alloc(4));

/** ReadyForQuery outside a transaction. */
export const readyForQuery: Buffer = message("Z", Buffer.from("I"));

/** Terminate: the client is going, the server need not log a lost connection. */
export const terminate: Buffer = message("X", Buffer.alloc(0));

/** SSLRequest: the server answers with one byte, S or N. */
export const sslRequest: Buffer = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * How many bytes the startup message takes that `bytes` begins with: its first int32, which counts
 * itself; undefined until four bytes are there.
 */
export function startupLength(bytes: Buffer): number | undefined {
  return bytes.length < 4 ? undefined : bytes.readInt32BE(0);
}
