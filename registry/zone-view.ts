/**
 * The zone as one process of a registry sees it: its state, read once for however many ask at the
 * same time, and the replies to agents, built once for all that have the same generation.
 */
import { every, nextTurn } from "../kit/clock.ts";
import type { ChangesReply, Endpoint } from "./contract.ts";
import type { Head, RegistryStore } from "./store/store.ts";

type Source = Pick<RegistryStore, "head" | "snapshot" | "changesSince" | "subscribe">;

/** Generations that agents come with at the same time; older replies are built again. */
const repliesMax = 64;
/** A change that the bus has lost is found after this long (ms). */
const backstopMs = 5000;

/** Reads reject with StoreError. */
export class ZoneView {
  readonly #store: Source;
  readonly #listeners = new Set<(head: Head) => void>();
  readonly #replies = new Map<number, Promise<Buffer>>();
  readonly #ends: readonly (() => void)[];
  #head: Head | undefined;
  #reading: Promise<Head> | undefined;
  #next: Promise<Head> | undefined;

  /** `onFault` hears of reads that nobody waits for. */
  constructor(store: Source, onFault: (error: unknown) => void) {
    this.#store = store;
    const look = (): void => void this.fresh().catch(onFault);
    this.#ends = [store.subscribe("generation", look), every(backstopMs, look)];
  }

  /** Called with each new state. @returns what ends it */
  onHead(listener: (head: Head) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The state as it was last read: the same object as long as it is the same state. */
  get head(): Head | undefined {
    return this.#head;
  }

  /** The state as a read shows it that begins now or later. All who ask meanwhile share it. */
  async fresh(): Promise<Head> {
    if (this.#next !== undefined) return await this.#next;
    if (this.#reading === undefined) return await this.#read();
    // Never two reads at once: the older, answered last, would look like a store that fell back.
    const again = (): Promise<Head> => {
      this.#next = undefined;
      return this.#read();
    };
    this.#next = this.#reading.then(again, again);
    return await this.#next;
  }

  #read(): Promise<Head> {
    const read = async (): Promise<Head> => this.#take(await this.#store.head());
    const reading = read().finally(() => {
      this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  #take(head: Head): Head {
    const known = this.#head;
    const isSame =
      known?.generation === head.generation &&
      known.epoch === head.epoch &&
      known.zoneHash === head.zoneHash;
    if (isSame) return known;
    this.#head = head;
    this.#replies.clear();
    for (const listener of this.#listeners) listener(head);
    return head;
  }

  /** The body of the reply to an agent that has `since`; 0: the whole zone. */
  async reply(since: number): Promise<Buffer> {
    const built = this.#replies.get(since);
    if (built !== undefined) return await built;
    const building = this.#build(since);
    if (this.#replies.size >= repliesMax) this.#replies.clear();
    this.#replies.set(since, building);
    building.catch(() => {
      if (this.#replies.get(since) === building) this.#replies.delete(since);
    });
    return await building;
  }

  async #build(since: number): Promise<Buffer> {
    const diff = since > 0 ? await this.#store.changesSince(since) : undefined;
    if (diff !== undefined) return bodyOf(diff.head, diff.upserts, diff.removedIds);
    // However many generations are not known any more: the whole zone is kept once.
    if (since > 0) return await this.reply(0);
    const { head, records } = await this.#store.snapshot();
    return await wholeBody(head, records);
  }

  close(): void {
    for (const end of this.#ends) end();
  }
}

/** The body of a reply that is put over what an agent has; without records: nothing is new. */
export function bodyOf(
  head: Head,
  records: readonly Endpoint[],
  removedIds: readonly number[],
): Buffer {
  return bodyWith(head, { full: false, records: JSON.stringify(records), removedIds });
}

/** Records written at a time; between two times other requests have their turn. */
const page = 4000;

async function wholeBody(head: Head, records: readonly Endpoint[]): Promise<Buffer> {
  const pages: string[] = [];
  for (let at = 0; at < records.length; at += page) {
    pages.push(JSON.stringify(records.slice(at, at + page)).slice(1, -1));
    await nextTurn();
  }
  return bodyWith(head, { full: true, records: `[${pages.join(",")}]`, removedIds: [] });
}

/** `records` is JSON already. */
function bodyWith(
  head: Head,
  facts: {
    readonly full: boolean;
    readonly records: string;
    readonly removedIds: readonly number[];
  },
): Buffer {
  const known = {
    generation: head.generation,
    full_snapshot: facts.full,
    removed_ids: facts.removedIds,
    epoch: head.epoch,
    zone_hash: head.zoneHash,
  } satisfies Readonly<Record<keyof Omit<ChangesReply, "records">, unknown>>;
  const text = JSON.stringify(known);
  return Buffer.from(`${text.slice(0, -1)},"records":${facts.records}}\n`, "utf8");
}
