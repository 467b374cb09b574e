/** A sync that follows a registry in this process, with a log of what it would serve. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, systemClock } from "../../../kit/clock.ts";
import { Sync } from "../../../sidecars/dns-resolver/sync/sync.ts";
import type { Offer, SyncOptions } from "../../../sidecars/dns-resolver/sync/sync.ts";
import { noSync } from "../../../sidecars/dns-resolver/sync/sync-ledger.ts";
import type { SyncState } from "../../../sidecars/dns-resolver/sync/sync-ledger.ts";
import { soon, token } from "./fake-registry.ts";
import type { FakeRegistry, Teardown } from "./fake-registry.ts";

export const zoneSettings = {
  zone: "temps.local",
  aliases: [],
  forwards: false,
  udpSizeMax: 1232,
} as const;

/** An empty folder that is gone after the test. */
export async function testFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-dns-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Follower {
  readonly offers: Offer[];
  readonly logged: string[];
  state(): SyncState;
  /** Resolves when that generation is served, with what was offered last. */
  serves(generation: number): Promise<Offer>;
  mended(gone: readonly string[]): void;
  stop(): Promise<void>;
}

/** Starts to follow; it ends with the test. */
export async function follow(
  t: Teardown,
  fake: Pick<FakeRegistry, "url">,
  folder: string,
  more: Partial<SyncOptions> = {},
): Promise<Follower> {
  const offers: Offer[] = [];
  const logged: string[] = [];
  let state = noSync;
  const log = (facts: object, text: string): void =>
    void logged.push(`${text} ${JSON.stringify(facts)}`);
  const sync = new Sync({
    registry: { url: fake.url, token: () => token },
    node: 7,
    zone: zoneSettings,
    folder,
    clock: systemClock,
    logger: { debug: log, info: log, warn: log, error: log } as SyncOptions["logger"],
    serve: async (offer) => {
      offers.push(offer);
      return await Promise.resolve([]);
    },
    tell: (next) => {
      state = next;
    },
    ...more,
  });
  let isRunning = true;
  const stop = async (): Promise<void> => {
    if (isRunning) await sync.stop();
    isRunning = false;
  };
  t.teardown(stop);
  await sync.load();
  sync.follow();
  return {
    offers,
    logged,
    stop,
    mended: (gone) => sync.mended(gone),
    state: () => state,
    serves: async (generation) =>
      await eventually(`generation ${generation} is served`, soon, () =>
        offers.findLast(({ served }) => served.generation === generation),
      ),
  };
}
