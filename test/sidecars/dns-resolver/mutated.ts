/** Datagrams that are nearly questions: bits turned, bytes put, ends cut, others joined to them. */
import type { Chance } from "../../sim/random.ts";

/** One of the corpus, changed. */
export function mutated(corpus: readonly Uint8Array[], chance: Chance): Uint8Array {
  const one = Uint8Array.from(corpus[chance.between(0, corpus.length - 1)] ?? []);
  const other = corpus[chance.between(0, corpus.length - 1)] ?? one;
  for (let times = chance.between(1, 6); times > 0; times -= 1) {
    const at = chance.between(0, one.length - 1);
    if (chance.hit(0.3)) one[at] = chance.between(0, 255);
    else if (chance.hit(0.5)) one[at] = (one[at] ?? 0) ^ (1 << chance.between(0, 7));
    else one[at] = chance.pick([0, 1, 0x3f, 0x40, 0xc0, 0xff]);
  }
  if (chance.hit(0.2)) return one.slice(0, chance.between(0, one.length));
  if (chance.hit(0.2)) return Uint8Array.from([...one, ...other.slice(chance.between(0, 12))]);
  return one;
}
