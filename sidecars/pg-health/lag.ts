/**
 * How far a standby is behind, in bytes and in time, and what GET /replica asks about it. Pure.
 *
 * Time is not the age of the last replayed commit: after an idle hour that would be an hour for
 * the first commit that comes. It is how long ago the WAL that is still missing was first heard of.
 */
import { lsnDistance } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { Sample } from "./sample.ts";

/** At the time `at` (monotonic ms) the primary had written up to `lsn`, as far as was known. */
export interface Mark {
  readonly at: number;
  readonly lsn: Lsn;
}

const marksMax = 512;

/**
 * Adds a mark; marks come in the order of time. Keeps at most 512 of them: when there are more,
 * every second one goes, which makes long lags coarser and never smaller.
 */
export function addMark(marks: readonly Mark[], mark: Mark): readonly Mark[] {
  if (marks.at(-1)?.lsn === mark.lsn) return [...marks.slice(0, -1), mark];
  const all = [...marks, mark];
  return all.length <= marksMax ? all : all.filter((_, index) => index % 2 === 0);
}

/** The furthest position known: what was received, what the upstream and a peer primary tell. */
export function furthestKnown(sample: Sample, peerLsn: Lsn | null): Lsn | null {
  return furthest([sample.receiveLsn, sample.replayLsn, sample.upstreamLsn, peerLsn]);
}

/** The furthest of some positions; null where none is known. */
export function furthest(known: readonly (Lsn | null)[]): Lsn | null {
  return known.reduce<Lsn | null>(
    (most, lsn) => (lsn !== null && (most === null || lsn > most) ? lsn : most),
    null,
  );
}

export type LagMode = "apply" | "write";

export interface Lag {
  /** While nothing is heard of the primary: as it was when it was last heard of. */
  readonly bytes: number | null;
  readonly ms: number | null;
  /** How long nothing was heard of the primary; 0 while in touch, null where that is not known. */
  readonly silentMs: number | null;
}

/** Nothing is known: no sample yet, or no standby. */
export const unknownLag: Lag = { bytes: null, ms: null, silentMs: null };

/**
 * The lag of a standby at `now` (monotonic ms): in mode apply of what is replayed, in mode write
 * of what is received, behind the furthest position known. null where it cannot be known.
 */
export function lagOf(
  sample: Sample,
  mode: LagMode,
  known: { readonly ahead: Lsn | null; readonly marks: readonly Mark[]; readonly now: number },
): Omit<Lag, "silentMs"> {
  const here = mode === "apply" ? sample.replayLsn : (sample.receiveLsn ?? sample.replayLsn);
  if (here === null || known.ahead === null) return { bytes: null, ms: null };
  const bytes = Math.max(0, lsnDistance(known.ahead, here));
  if (bytes === 0) return { bytes, ms: 0 };
  const reached = known.marks.findLast((mark) => mark.lsn <= here);
  const since = reached === undefined ? null : known.now - reached.at;
  const age = mode === "apply" ? sample.replayedAgeMs : null;
  if (since === null || age === null) return { bytes, ms: since ?? age };
  return { bytes, ms: Math.min(since, age) };
}

export interface ReplicaQuestion {
  readonly mode: LagMode;
  /** The most lag that is taken; null: any. */
  readonly limit: { readonly unit: "bytes" | "ms"; readonly most: number } | null;
}

/** A query that GET /replica does not take; the message says what it takes. */
export class ReplicaQueryError extends Error {
  override readonly name = "ReplicaQueryError";
  readonly code = "ERR_REPLICA_QUERY";
}

const units: Readonly<Record<string, readonly ["bytes" | "ms", number]>> = {
  "": ["bytes", 1],
  b: ["bytes", 1],
  kb: ["bytes", 1024],
  mb: ["bytes", 1024 ** 2],
  gb: ["bytes", 1024 ** 3],
  ms: ["ms", 1],
  s: ["ms", 1000],
};

/**
 * Reads `?lag=<bytes|10MB|500ms>&mode=apply|write`; each at most once, none needed.
 * @throws ReplicaQueryError
 */
export function parseReplicaQuery(search: string): ReplicaQuestion {
  const query = new URLSearchParams(search);
  for (const key of query.keys()) {
    if (key !== "lag" && key !== "mode") {
      throw new ReplicaQueryError(`unknown parameter ${JSON.stringify(key)}: expected lag or mode`);
    }
    if (query.getAll(key).length > 1) throw new ReplicaQueryError(`${key} stands twice`);
  }
  const mode = query.get("mode") ?? "apply";
  if (mode !== "apply" && mode !== "write") {
    throw new ReplicaQueryError(`mode=${mode}: expected apply or write`);
  }
  const lag = query.get("lag");
  return { mode, limit: lag === null ? null : parseLimit(lag) };
}

function parseLimit(text: string): NonNullable<ReplicaQuestion["limit"]> {
  const match = /^([0-9]{1,15})([A-Za-z]{0,2})$/.exec(text);
  const unit = units[match?.[2]?.toLowerCase() ?? "none"];
  if (match === null || unit === undefined) {
    throw new ReplicaQueryError(
      `lag=${text}: expected bytes (1048576), a size (64kB, 10MB, 1GB) or a time (500ms, 2s)`,
    );
  }
  return { unit: unit[0], most: Number(match[1]) * unit[1] };
}

/**
 * How long a lag in bytes from before the primary fell silent is still taken, in milliseconds: a
 * primary that restarts must not take every standby out of reads at once.
 */
export const staleGraceMs = 30_000;

/**
 * Whether a standby with `lag` is what the question takes. An unknown lag is within no limit.
 * Silence of the primary is lag for a limit in time; a limit in bytes takes the last known lag for
 * the grace, after which nobody can say how far the primary has gone on.
 */
export function fitOf(lag: Lag, limit: ReplicaQuestion["limit"]): "within" | "lagging" | "stale" {
  if (limit === null) return "within";
  const isBytes = limit.unit === "bytes";
  const silence = lag.silentMs ?? 0;
  if (silence > (isBytes ? staleGraceMs : limit.most)) return "stale";
  const value = isBytes ? lag.bytes : lag.ms;
  return value !== null && value <= limit.most ? "within" : "lagging";
}
