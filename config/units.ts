/**
 * Durations and sizes: as they stand in an environment file (a whole number and a unit), and rounded
 * to what an operator reads at a glance. Sizes count in powers of 1024, as PostgreSQL reads them
 * (manual, 20.1.1 "Parameter Names and Values").
 */
const durationUnits = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const sizeUnits = { GB: 1024 ** 3, MB: 1024 ** 2, kB: 1024, B: 1 } as const;

type Units = Readonly<Record<string, number>>;

/** Milliseconds of a text such as `300ms`, `2s`, `30m`, `12h`, `1d`; undefined for another text. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, durationUnits);
}

/** Writes milliseconds in the largest unit that gives a whole number, such as `90s` or `2m`. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, durationUnits, "ms");
}

/** Bytes of a text such as `64kB`, `10MB`, `1GB`, `0B`; undefined for another text. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, sizeUnits);
}

/** Writes bytes in the largest unit that gives a whole number, such as `16MB`. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, sizeUnits, "B");
}

function parseQuantity(text: string, units: Units): number | undefined {
  const match = /^([0-9]{1,9})([a-zA-Z]{1,2})$/.exec(text);
  const unit = match?.[2] ?? "";
  return Object.hasOwn(units, unit) ? Number(match?.[1]) * (units[unit] ?? 0) : undefined;
}

function formatQuantity(amount: number, units: Units, smallest: string): string {
  const fitting = Object.entries(units).find(([, size]) => amount >= size && amount % size === 0);
  const [unit, size] = fitting ?? [smallest, 1];
  return `${amount / size}${unit}`;
}

const wordUnits = ["B", "kB", "MB", "GB", "TB"] as const;

/** A size in words with powers of 1024, such as "16 MB" or "1.5 GB". */
export function sizeInWords(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < wordUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const rounded = value < 10 && unit > 0 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0);
  return `${rounded} ${wordUnits[unit]}`;
}

/** A number of things in words, such as "1 session" or "3 sessions"; `noun` is the one of them. */
export function countInWords(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

/** An age in words, such as "40 s", "12 min", "3 h" or "5 d". */
export function ageInWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
