/**
 * How far a copy is: what pg_basebackup and pg_rewind print of it, and the rate and the time that
 * is left. Both print `copied/total kB (percent%)`, about once a second.
 */

export interface Amount {
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface Progress extends Amount {
  /** Over the last seconds; null until two amounts are known. */
  readonly bytesPerSecond: number | null;
  readonly secondsLeft: number | null;
}

const kilobyte = 1024;

/** Reads one line of progress; undefined for any other line. */
export function readAmount(line: string): Amount | undefined {
  const match = /^\s*([0-9]{1,15})\/([0-9]{1,15}) kB \([0-9]+%\)/.exec(line);
  if (match === null) return undefined;
  return { bytes: Number(match[1]) * kilobyte, totalBytes: Number(match[2]) * kilobyte };
}

/** The rate is that of this long: older amounts say little about now. */
const windowMs = 20_000;

/** Follows one copy. The total is an estimate that may be passed. */
export class ProgressMeter {
  readonly #amounts: { readonly at: number; readonly bytes: number }[] = [];

  /** Takes an amount seen at `at`, in monotonic ms. @returns how far it is now */
  add({ bytes, totalBytes }: Amount, at: number): Progress {
    this.#amounts.push({ at, bytes });
    while (this.#amounts.length > 2 && at - (this.#amounts[0]?.at ?? at) > windowMs) {
      this.#amounts.shift();
    }
    const first = this.#amounts[0] ?? { at, bytes };
    const bytesPerSecond = at > first.at ? ((bytes - first.bytes) * 1000) / (at - first.at) : null;
    const left = Math.max(0, totalBytes - bytes);
    const isMoving = bytesPerSecond !== null && bytesPerSecond > 0;
    const secondsLeft = isMoving ? Math.ceil(left / bytesPerSecond) : null;
    return { bytes, totalBytes, bytesPerSecond, secondsLeft };
  }
}

const units = ["B", "kB", "MB", "GB", "TB"] as const;

/** A number of bytes in the unit that suits it, such as 1.5 GB. */
export function sizeWords(bytes: number): string {
  let value = bytes;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= kilobyte;
    index += 1;
  }
  return `${index === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[index]}`;
}

/** One line for the operator: `1.2 GB of 40 GB, 210 MB/s, 3 min 10 s left`. */
export function progressWords(progress: Progress): string {
  const { bytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
  const rate = bytesPerSecond === null ? "" : `, ${sizeWords(bytesPerSecond)}/s`;
  const left = secondsLeft === null ? "" : `, ${timeWords(secondsLeft)} left`;
  return `${sizeWords(bytes)} of ${sizeWords(Math.max(bytes, totalBytes))}${rate}${left}`;
}

/** Whole seconds as an operator says them: 45 s, 3 min 10 s, 2 h 5 min. */
function timeWords(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
