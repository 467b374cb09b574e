/**
 * What nobody may foresee: ids, sockets and the case of letters, out of the system's own random
 * numbers, drawn in advance by the block (RFC 5452, 4.5).
 */
import { randomFillSync } from "node:crypto";

export interface Chance {
  /** A number from 0 to 65,535. */
  readonly id: () => number;
  /** A number from 0 to below `count`, which is at most 65,536. */
  readonly below: (count: number) => number;
  /** A question with the case of every letter of its name drawn anew. */
  readonly mixCase: (question: Uint8Array) => Uint8Array;
}

const blockLength = 8192;

function isLetter(byte: number): boolean {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

/** How many letters the name of a question has: as many bits does its case hold. */
export function lettersOf(question: Uint8Array): number {
  let letters = 0;
  for (let index = 0; index < question.length - 4; index += 1) {
    if (isLetter(question[index] ?? 0)) letters += 1;
  }
  return letters;
}

/** A source of chance with a block of its own. */
export function createChance(): Chance {
  const block = Buffer.allocUnsafe(blockLength);
  let at = blockLength;
  const byte = (): number => {
    if (at >= blockLength) {
      randomFillSync(block);
      at = 0;
    }
    at += 1;
    return block[at - 1] ?? 0;
  };
  const id = (): number => (byte() << 8) | byte();
  return {
    id,
    below: (count) => {
      // Without the remainder, low numbers would come more often than high ones.
      const whole = 65_536 - (65_536 % count);
      for (;;) {
        const drawn = id();
        if (drawn < whole) return drawn % count;
      }
    },
    mixCase: (question) => {
      const mixed = new Uint8Array(question);
      const nameLength = mixed.length - 4;
      let [bits, left] = [0, 0];
      for (let index = 0; index < nameLength; index += 1) {
        const letter = mixed[index] ?? 0;
        if (!isLetter(letter)) continue;
        if (left === 0) [bits, left] = [byte(), 8];
        mixed[index] = (bits & 1) === 1 ? letter | 0x20 : letter & 0xdf;
        bits >>= 1;
        left -= 1;
      }
      return mixed;
    },
  };
}
