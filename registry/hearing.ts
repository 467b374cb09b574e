/**
 * What a store that was restored from an old copy is worth: its roles are those of the day of the
 * copy until each role source was heard of again. Until then whoever has more keeps what it has.
 */
import type { Clock } from "../kit/clock.ts";
import type { Head, RegistryStore, StoredCluster } from "./store/store.ts";
import type { ZoneView } from "./zone-view.ts";

export interface Hearing {
  /**
   * The clusters whose source was not heard of since this process knows the store as it is now.
   * @throws StoreError
   */
  missing(): Promise<readonly string[]>;
}

interface HearingOptions {
  readonly store: Pick<RegistryStore, "clusters">;
  readonly zone: Pick<ZoneView, "onHead">;
  readonly clock: Clock;
}

/** Begins to count now, and again when the store falls back behind what it was. */
export function createHearing({ store, zone, clock }: HearingOptions): Hearing {
  let since = clock.now();
  let isHeard = false;
  let asking: Promise<readonly string[]> | undefined;
  let known: Head | undefined;
  zone.onHead((head) => {
    if (known !== undefined && fellBack(known, head)) {
      since = clock.now();
      isHeard = false;
      asking = undefined;
    }
    known = head;
  });
  const look = async (): Promise<readonly string[]> => {
    const from = since;
    const missing = missingOf(await store.clusters(), from);
    if (missing.length === 0 && from === since) isHeard = true;
    return missing;
  };
  return {
    missing: async () => {
      if (isHeard) return [];
      // However many ask, one look is under way.
      const asked = (asking ??= look().finally(() => {
        if (asking === asked) asking = undefined;
      }));
      return await asked;
    },
  };
}

function fellBack(before: Head, { epoch, generation }: Head): boolean {
  return epoch !== before.epoch || generation < before.generation;
}

/** Without a source, or without members, there is nothing to be heard of. `since`: ms since 1970. */
function missingOf(clusters: readonly StoredCluster[], since: number): string[] {
  const waited = clusters.filter(({ members, roles, source }) => {
    if (source.kind === "none" || members.length === 0) return false;
    return roles.seen_at === null || Date.parse(roles.seen_at) < since;
  });
  return waited.map(({ name }) => name);
}
