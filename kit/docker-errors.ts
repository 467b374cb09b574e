/**
 * The error of everything that is asked of a Docker Engine, and the words for what an engine, or the
 * way to it, says when it does not do as asked: what came back, and what to do about it.
 */
import { DeadlineError } from "./clock.ts";
import { faultCode, faultWords } from "./fault-words.ts";

export type EngineFault =
  | "no engine"
  | "no permission"
  | "no image"
  | "no container"
  | "name taken"
  | "port taken"
  | "address taken"
  | "no space"
  | "being removed"
  | "paused"
  | "not running"
  | "no answer"
  | "other";

/** A Docker Engine was asked for something and did not do it, or could not be asked. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code = "ERR_DOCKER_ENGINE";
  readonly fault: EngineFault;
  readonly engine: string;
  readonly tried: string;
  /** HTTP status of the engine's answer; 0 when there was none. */
  readonly status: number;
  constructor(
    tried: string,
    engine: string,
    said: { fault: EngineFault; words: string; status?: number; cause?: unknown },
  ) {
    const message = `${tried} on ${engine}: ${said.words}`.replaceAll(/\s*\n\s*/g, " ");
    super(message, { cause: said.cause });
    this.tried = tried;
    this.engine = engine;
    this.fault = said.fault;
    this.status = said.status ?? 0;
  }
}

interface Row {
  readonly fault: EngineFault;
  readonly said: RegExp;
  /** 0 for what came before any answer. */
  readonly status?: number;
  readonly advice: string;
}

/** What an engine says, by its own words: the first row that fits counts. */
const rows: readonly Row[] = [
  {
    fault: "no engine",
    said: /\bENOENT\b|\bECONNREFUSED\b|Cannot connect to the Docker daemon/,
    status: 0,
    advice:
      "no engine listens there: start Docker (bin/setup --docker does), or correct the address",
  },
  {
    fault: "no permission",
    said: /\b(EACCES|EPERM)\b|permission denied .*docker.*sock/i,
    status: 0,
    advice: "this user may not use its socket: run as root or as a member of the group docker",
  },
  {
    fault: "no space",
    said: /no space left on device|\bENOSPC\b|disk quota exceeded/i,
    advice: "free space on the engine's host (docker system df shows what takes it)",
  },
  {
    fault: "no image",
    said: /no such image|image .*not found|manifest .*unknown|pull access denied/i,
    advice: "the engine has no such image: build it (bin/setup --docker), or pull it there",
  },
  {
    fault: "name taken",
    said: /is already in use by container|network with name .* already exists|volume name .* already in use/i,
    advice: "take another name, or remove what has it",
  },
  {
    fault: "port taken",
    said: /port is already allocated|address already in use.*(bind|listen)|bind.*address already in use/i,
    advice: "end what listens there, or publish another port",
  },
  {
    fault: "address taken",
    said: /pool overlaps with other one|address already in use|no available .*address/i,
    advice: "take another subnet or address, or remove the network that has it",
  },
  {
    fault: "no container",
    said: /no such container/i,
    advice: "look for its name in docker ps --all on that engine",
  },
  {
    fault: "being removed",
    said: /removal of container .* already in progress|marked for removal/i,
    advice: "it is being removed: wait until docker ps --all no longer shows it",
  },
  {
    fault: "paused",
    said: /is paused/i,
    advice: "let it go on: docker unpause on that engine",
  },
  {
    fault: "not running",
    said: /is not running|is restarting|container stopped\/paused/i,
    advice: "see docker ps --all and docker logs on that engine",
  },
];

/** An error of docker-modem for an answer that is a failure. */
interface AnsweredError {
  readonly statusCode?: number;
  readonly json?: { readonly message?: unknown } | null;
}

/** The EngineError for what was thrown while `tried` was asked of `engine`. */
export function engineError(tried: string, engine: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  const { statusCode: status = 0, json } = (cause ?? {}) as AnsweredError;
  const said = typeof json?.message === "string" ? json.message : thrownWords(cause);
  if (cause instanceof DeadlineError) {
    const words = `${faultWords(cause)}; see whether the engine's host is overloaded or cut off`;
    return new EngineError(tried, engine, { fault: "no answer", words, cause });
  }
  const row = rows.find(
    (one) => one.said.test(said) && (one.status === undefined || one.status === status),
  );
  if (row === undefined) {
    return new EngineError(tried, engine, { fault: "other", words: said, status, cause });
  }
  const words = `${said}; ${row.advice}`;
  return new EngineError(tried, engine, { fault: row.fault, words, status, cause });
}

function thrownWords(cause: unknown): string {
  // Node's own text names the call, the code and the address, and the code is what rows look for.
  const message = cause instanceof Error ? cause.message : "";
  return message !== "" && faultCode(cause) !== "" ? message : faultWords(cause);
}
