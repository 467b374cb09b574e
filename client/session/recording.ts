/**
 * What a server said while a session was started, so that it can be said once more to a client that
 * takes the session over: the newest value of each parameter, the key for cancel requests, notices.
 */
import { authenticationOk, parameterStatus, readyForQuery } from "./wire.ts";
import type { BackendMessage } from "./wire.ts";

/** Notices beyond this many bytes are not kept: a login trigger may talk without end. */
const mostNoticeBytes = 64 * 1024;

export interface Recording {
  /** The newest value of each parameter that the server reported. */
  readonly parameters: ReadonlyMap<string, string>;
  /** What a client hears after its startup message, from AuthenticationOk to ReadyForQuery. */
  replay(): Buffer;
}

export interface Recorder extends Recording {
  /** Keeps what a later client has to hear of this message; forgets all else. */
  note(message: BackendMessage): void;
}

/** A recorder for one session. */
export function createRecorder(): Recorder {
  const statuses = new Map<string, Buffer>();
  const parameters = new Map<string, string>();
  const notices: Buffer[] = [];
  let noticeBytes = 0;
  let key: Buffer | undefined;
  const keepers: Readonly<Record<string, (bytes: Buffer) => void>> = {
    S: (bytes) => {
      const { name, value } = parameterStatus(bytes);
      parameters.set(name, value);
      statuses.set(name, Buffer.from(bytes));
    },
    K: (bytes) => {
      key = Buffer.from(bytes);
    },
    N: (bytes) => {
      if (noticeBytes + bytes.length > mostNoticeBytes) return;
      noticeBytes += bytes.length;
      notices.push(Buffer.from(bytes));
    },
  };
  return {
    parameters,
    note: ({ type, bytes }) => keepers[type]?.(bytes),
    replay: () => {
      const keys = key === undefined ? [] : [key];
      const all = [authenticationOk, ...statuses.values(), ...notices, ...keys, readyForQuery];
      return Buffer.concat(all);
    },
  };
}
