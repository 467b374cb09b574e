/**
 * Reads global/pg_control as bytes: what pg_controldata prints, without starting a program. The
 * places follow from struct ControlFileData (src/include/catalog/pg_control.h) on a 64-bit machine;
 * a version that is not in the table is not read, because a guess would be worse than nothing.
 */
import type { ControlFile } from "./contract.ts";

export type ControlFileRead =
  | { readonly control: ControlFile }
  /** Why the bytes are no control file that we can read. */
  | { readonly why: string };

/** Where the CRC stands, by pg_control version: every byte before it is covered by it. */
const crcOffsets: Readonly<Record<number, number>> = {
  // PostgreSQL 12
  1201: 288,
  // PostgreSQL 13 to 16
  1300: 288,
  // PostgreSQL 17
  1700: 288,
  // PostgreSQL 18 has default_char_signedness before the nonce.
  1800: 292,
};

/** The same in all versions of the table. */
const offsets = {
  systemIdentifier: 0,
  version: 8,
  state: 16,
  checkpoint: 32,
  // The copy of the checkpoint record begins at 40 with its redo position.
  timeline: 48,
  minRecoveryEnd: 136,
  minRecoveryTimeline: 144,
  walLogHints: 176,
  floatFormat: 208,
  dataChecksumVersion: 252,
} as const;

/** enum DBState, in the words of pg_controldata. */
const states = [
  "starting up",
  "shut down",
  "shut down in recovery",
  "shutting down",
  "in crash recovery",
  "in archive recovery",
  "in production",
] as const;

/** The number that every control file holds to show how its machine writes a double. */
const floatFormat = 1_234_567;

/**
 * Reads the bytes of a control file, however many follow it.
 * @returns what it says, or why it cannot be believed: too short, another byte order, a version
 * that is not known here, a CRC that does not hold, a state that does not exist
 */
export function readControlFile(bytes: Uint8Array): ControlFileRead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < offsets.version + 4) return { why: `it has ${view.byteLength} bytes` };
  const version = view.getUint32(offsets.version, true);
  const crcOffset = crcOffsets[version];
  if (crcOffset === undefined) return { why: unknownVersion(view) };
  if (view.byteLength < crcOffset + 4) {
    return { why: `it has ${view.byteLength} bytes, not ${crcOffset + 4} or more` };
  }
  const [written, counted] = [
    view.getUint32(crcOffset, true),
    crc32c(bytes.subarray(0, crcOffset)),
  ];
  if (written !== counted) return { why: "its CRC does not hold" };
  if (view.getFloat64(offsets.floatFormat, true) !== floatFormat) {
    return { why: "it was written on a machine with another number format" };
  }
  const state = states[view.getUint32(offsets.state, true)];
  if (state === undefined) {
    return { why: `it holds the unknown state ${view.getUint32(offsets.state, true)}` };
  }
  const control: ControlFile = {
    state,
    checkpoint: view.getBigUint64(offsets.checkpoint, true),
    timeline: view.getUint32(offsets.timeline, true),
    systemIdentifier: String(view.getBigUint64(offsets.systemIdentifier, true)),
    minRecoveryEnd: view.getBigUint64(offsets.minRecoveryEnd, true),
    minRecoveryTimeline: view.getUint32(offsets.minRecoveryTimeline, true),
    canRewind:
      view.getUint8(offsets.walLogHints) !== 0 ||
      view.getUint32(offsets.dataChecksumVersion, true) !== 0,
  };
  return { control };
}

function unknownVersion(view: DataView): string {
  const known = Object.keys(crcOffsets).join(", ");
  const swapped = view.getUint32(offsets.version, false);
  if (crcOffsets[swapped] !== undefined) return "it was written in another byte order";
  const version = view.getUint32(offsets.version, true);
  return `its version is ${version}; known are ${known}`;
}

/** CRC-32C (Castagnoli), bits reflected: src/port/pg_crc32c_sb8.c. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  return crc >>> 0;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffff_ffff) >>> 0;
}
