/**
 * What stands behind the question in an answer, written once: records with compressed names
 * (RFC 1035, 4.1.4). The question ends where its name says, so that every pointer is known beforehand;
 * pointers into the question give back the case in which it was asked.
 */
import { headerBytes, types } from "../wire/numbers.ts";
import { write16, write32 } from "../wire/message.ts";
import { bodyWords } from "./served.ts";
import type { RecordData, RecordSet, TargetName } from "./tree.ts";
import type { ImageWriter } from "./writer.ts";

/** The three sections in the order of the message. */
export type SectionWord =
  | typeof bodyWords.answers
  | typeof bodyWords.authorities
  | typeof bodyWords.additionals;

/** Seconds. The least is what a negative answer is kept for (RFC 2308, 4). */
export const soaTimes = { ttl: 30, refresh: 30, retry: 10, expire: 86_400, negative: 5 } as const;

/** Who is named in the SOA of a zone; undefined labels stand for the zone itself. */
export interface SoaNames {
  readonly server: string;
  readonly mailbox: TargetName;
}

export const ownSoa: SoaNames = {
  server: "\x02ns",
  mailbox: { isInZone: true, labels: "\x0ahostmaster" },
};
export const foreignSoa: SoaNames = {
  server: "",
  mailbox: { isInZone: false, labels: "\x06nobody\x07invalid" },
};

const pointerMax = 0x3fff;
/** Behind header, the longest question and OPT there is room for this much (RFC 1035, 4.2.2). */
export const bodyBytesMax = 65_535 - headerBytes - 259 - 32;

const scratch = new Uint8Array(bodyBytesMax + 4096);

/** Writes bodies, one at a time: from `begin` to `finish`. */
export class BodyWriter {
  readonly #facts = Array.from<number>({ length: bodyWords.count }).fill(0);
  readonly #known = new Map<string, number>();
  #start = 0;
  #apexAt = 0;
  #owner = "";
  #apex = "";
  #at = 0;
  #isFull = false;

  /** The next body is for the name `owner` (relative) below the apex of its zone. */
  begin(owner: string, apex: string): void {
    this.#owner = owner;
    this.#apex = apex;
    this.#start = headerBytes + owner.length + apex.length + 1 + 4;
    this.#apexAt = headerBytes + owner.length;
    this.#at = 0;
    this.#isFull = false;
    this.#facts.fill(0);
    if (this.#known.size > 0) this.#known.clear();
  }

  setRcode(rcode: number): void {
    this.#facts[bodyWords.rcode] = rcode;
  }

  /** The chain of names ends at one that is not the zone's. */
  setLeaves(): void {
    this.#facts[bodyWords.leaves] = 1;
  }

  /** All records of a set at an owner relative to the apex, as long as there is room. */
  putSet(owner: string, set: RecordSet, section: SectionWord, takesTurns = false): void {
    const first = this.#at;
    let size = 0;
    for (const record of set.records) {
      if (this.#isFull) break;
      const before = this.#at;
      if (!this.#putRecord(owner, set, record)) {
        this.#at = before;
        this.#isFull = true;
        break;
      }
      size = this.#at - before;
      this.#facts[section] = (this.#facts[section] ?? 0) + 1;
    }
    const count = size === 0 ? 0 : (this.#at - first) / size;
    if (!takesTurns || count < 2 || !Number.isInteger(count)) return;
    this.#facts[bodyWords.turnStart] = first;
    this.#facts[bodyWords.turnCount] = count;
    this.#facts[bodyWords.turnBytes] = size;
  }

  /** The zone's SOA, at `owner`; in the authority section with the TTL of negative answers. */
  putSoa(names: SoaNames, serial: number, section: SectionWord, owner = ""): void {
    const isNegative = section === bodyWords.authorities;
    this.#putFixed(owner, types.SOA, isNegative ? soaTimes.negative : soaTimes.ttl);
    const length = this.#at;
    this.#at += 2;
    this.#putOwn(names.server);
    this.#putTarget(names.mailbox, true);
    for (const value of [serial, soaTimes.refresh, soaTimes.retry]) this.#put32(value);
    for (const value of [soaTimes.expire, soaTimes.negative]) this.#put32(value);
    write16(scratch, length, this.#at - length - 2);
    this.#facts[section] = (this.#facts[section] ?? 0) + 1;
  }

  /** Puts the body into the image. @returns its word */
  finish(image: ImageWriter): number {
    const word = image.take(bodyWords.count);
    this.#facts[bodyWords.bytes] = this.#at;
    image.putWords(word, this.#facts);
    image.putBytes(scratch.subarray(0, this.#at));
    return word;
  }

  #putRecord(owner: string, set: RecordSet, record: RecordData): boolean {
    this.#putFixed(owner, set.type, set.ttl);
    const length = this.#at;
    this.#at += 2;
    scratch.set(record.bytes, this.#at);
    this.#at += record.bytes.length;
    if (record.target !== undefined) {
      // Names in SRV stay whole (RFC 2782).
      this.#putTarget(record.target, set.type !== types.SRV);
    }
    write16(scratch, length, this.#at - length - 2);
    return this.#at <= bodyBytesMax;
  }

  #putFixed(owner: string, type: number, ttl: number): void {
    this.#putOwn(owner);
    write16(scratch, this.#at, type);
    write16(scratch, this.#at + 2, 1);
    this.#at += 4;
    this.#put32(ttl);
  }

  #putTarget(name: TargetName, isCompressed: boolean): void {
    if (!isCompressed || !name.isInZone) {
      this.#putLabels(name.labels);
      if (name.isInZone) this.#putLabels(this.#apex);
      scratch[this.#at] = 0;
      this.#at += 1;
    } else this.#putOwn(name.labels);
  }

  /** A name of the zone, compressed. */
  #putOwn(labels: string): void {
    const known = this.#pointerTo(labels);
    if (known !== undefined) {
      this.#putPointer(known);
      return;
    }
    if (this.#start + this.#at <= pointerMax) this.#known.set(labels, this.#start + this.#at);
    this.#putLabels(labels);
    this.#putPointer(this.#apexAt);
  }

  #pointerTo(labels: string): number | undefined {
    if (labels === this.#owner) return headerBytes;
    return labels === "" ? this.#apexAt : this.#known.get(labels);
  }

  #putPointer(at: number): void {
    write16(scratch, this.#at, 0xc000 | at);
    this.#at += 2;
  }

  #putLabels(labels: string): void {
    for (let index = 0; index < labels.length; index += 1) {
      scratch[this.#at + index] = labels.charCodeAt(index);
    }
    this.#at += labels.length;
  }

  #put32(value: number): void {
    write32(scratch, this.#at, value);
    this.#at += 4;
  }
}
