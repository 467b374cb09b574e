/**
 * Arithmetic on WAL positions. An LSN is a byte position in the write-ahead log, held as a bigint
 * because it is a 64-bit number. Text form: PostgreSQL manual, 8.20 "pg_lsn Type".
 */
export type Lsn = bigint;

const lsnPattern = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/**
 * Reads an LSN such as `16/B374D848`.
 * @throws TypeError when the text is not an LSN
 */
export function parseLsn(text: string): Lsn {
  const match = lsnPattern.exec(text);
  if (match === null) throw new TypeError(`not an LSN: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes an LSN as PostgreSQL prints it, such as `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  const hex = (half: bigint): string => half.toString(16).toUpperCase();
  return `${hex(lsn >> 32n)}/${hex(lsn & 0xffff_ffffn)}`;
}

/** Bytes from `behind` up to `ahead`; negative when `behind` is in fact ahead. */
export function lsnDistance(ahead: Lsn, behind: Lsn): number {
  return Number(ahead - behind);
}
