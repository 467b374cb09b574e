/**
 * The memory of one socket's batches, laid out once: for each slot a message header for what comes and
 * one for what goes, the peer's address, and the bytes in and out. Nothing is allocated while it runs.
 */
import type { Pointer, SystemCalls } from "./system-calls.ts";

export const slotsPerBatch = 64;
/** How many addresses one thread answers at. */
export const socketsMax = 64;
/** A longer question is cut, and told that it cannot be read. */
const queryBytesMax = 4096;
/** struct mmsghdr: name, its length, vector, its length, control, its length, flags; then the bytes. */
const header = { bytes: 64, name: 0, nameBytes: 8, vector: 16, vectorCount: 24, got: 56 } as const;
const vector = { bytes: 16, base: 0, size: 8 } as const;
const peerBytes = 32;

export interface Batch {
  readonly incoming: Pointer;
  readonly queries: readonly Uint8Array[];
  /** By their place among the outgoing messages. */
  readonly answers: readonly Uint8Array[];
  /** The peer of a slot, as the kernel wrote it; valid until the next batch. */
  readonly peers: readonly Uint8Array[];
  /** The bytes that came in a slot. */
  received(slot: number): number;
  /** The `place`-th outgoing message has `size` bytes and goes to the peer of `slot`. */
  prepare(place: number, slot: number, size: number): void;
  /** Where the outgoing messages from `place` on begin. */
  outgoingFrom(place: number): Pointer;
}

/** Where each part of the memory begins. */
interface Areas {
  readonly incoming: number;
  readonly outgoing: number;
  readonly inVectors: number;
  readonly outVectors: number;
  readonly peers: number;
  readonly queries: number;
  readonly answers: number;
  readonly end: number;
}

function areasOf(answerBytes: number): Areas {
  let used = 0;
  const area = (bytes: number): number => {
    const start = used;
    used += bytes * slotsPerBatch;
    return start;
  };
  return {
    incoming: area(header.bytes),
    outgoing: area(header.bytes),
    inVectors: area(vector.bytes),
    outVectors: area(vector.bytes),
    peers: area(peerBytes),
    queries: area(queryBytesMax),
    answers: area(answerBytes),
    end: area(0),
  };
}

/** `addressBytes` is the length of a peer's address on this socket. */
export function createBatch(
  calls: Pick<SystemCalls, "allocate">,
  addressBytes: number,
  answerBytesMax: number,
): Batch {
  const answerBytes = Math.ceil(answerBytesMax / 64) * 64;
  const areas = areasOf(answerBytes);
  const { at, memory } = calls.allocate(areas.end);
  layOut({ at, memory, areas, addressBytes, answerBytes });
  const words = new Uint32Array(memory);
  const slots = (start: number, each: number, size: number): Uint8Array[] =>
    Array.from(
      { length: slotsPerBatch },
      (_, slot) => new Uint8Array(memory, start + slot * each, size),
    );
  // An address of memory in two halves, so that none is made into a bigint for each datagram.
  const peerAt = Array.from(
    { length: slotsPerBatch },
    (_, slot) => at + BigInt(areas.peers + slot * peerBytes),
  );
  const low = Uint32Array.from(peerAt, (pointer) => Number(pointer & 0xffff_ffffn));
  const high = Uint32Array.from(peerAt, (pointer) => Number(pointer >> 32n));
  const outgoing = Array.from(
    { length: slotsPerBatch },
    (_, place) => at + BigInt(areas.outgoing + place * header.bytes),
  );
  return {
    incoming: at + BigInt(areas.incoming),
    queries: slots(areas.queries, queryBytesMax, queryBytesMax),
    answers: slots(areas.answers, answerBytes, answerBytesMax),
    peers: slots(areas.peers, peerBytes, addressBytes),
    received: (slot) => words[(areas.incoming + slot * header.bytes + header.got) >> 2] ?? 0,
    prepare: (place, slot, size) => {
      const name = (areas.outgoing + place * header.bytes + header.name) >> 2;
      words[name] = low[slot] ?? 0;
      words[name + 1] = high[slot] ?? 0;
      words[(areas.outVectors + place * vector.bytes + vector.size) >> 2] = size;
    },
    outgoingFrom: (place) => outgoing[place] ?? 0n,
  };
}

interface Layout {
  readonly at: Pointer;
  readonly memory: ArrayBuffer;
  readonly areas: Areas;
  readonly addressBytes: number;
  readonly answerBytes: number;
}

/** Writes what stays: which header leads to which vector, which vector to which bytes. */
function layOut({ at, memory, areas, addressBytes, answerBytes }: Layout): void {
  const view = new DataView(memory);
  new Uint8Array(memory).fill(0);
  const point = (from: number, to: number): void => view.setBigUint64(from, at + BigInt(to), true);
  const put = (own: number, ownVector: number, peer: number, bytes: number): void => {
    point(own + header.name, peer);
    view.setUint32(own + header.nameBytes, addressBytes, true);
    point(own + header.vector, ownVector);
    view.setUint32(own + header.vectorCount, 1, true);
    point(ownVector + vector.base, bytes);
  };
  for (let slot = 0; slot < slotsPerBatch; slot += 1) {
    const [head, part] = [slot * header.bytes, slot * vector.bytes];
    const peer = areas.peers + slot * peerBytes;
    put(areas.incoming + head, areas.inVectors + part, peer, areas.queries + slot * queryBytesMax);
    put(areas.outgoing + head, areas.outVectors + part, peer, areas.answers + slot * answerBytes);
    view.setUint32(areas.inVectors + part + vector.size, queryBytesMax, true);
  }
}
