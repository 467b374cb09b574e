/** A whole store out of a database and what tells its processes of each other. */
import type { Clock } from "../../kit/clock.ts";
import { clusterKeeper } from "./clusters.ts";
import type { Database } from "./database.ts";
import { nodeKeeper, tokenKeeper } from "./nodes.ts";
import type { RegistryStore } from "./store.ts";
import { zoneReader } from "./zone-read.ts";
import { zoneWriter } from "./zone-write.ts";

/** What each kind of database does in its own way. */
export type Ends = Pick<RegistryStore, "publish" | "subscribe" | "lead" | "close">;

/**
 * Puts a store together. `facts.zone` is what its records lie in, and `facts.clock` says when a node
 * acknowledged; everything that is asked or changed goes through `database`, and `ends` is what waking
 * other processes, leading and closing mean on that kind of database.
 */
export function assembleStore(
  database: Database,
  ends: Ends,
  facts: { readonly zone: string; readonly clock: Clock },
): RegistryStore {
  return {
    kind: database.kind,
    ...zoneReader(database),
    ...zoneWriter(database, facts.zone),
    ...clusterKeeper(database),
    ...nodeKeeper(database, facts.clock),
    ...tokenKeeper(database),
    ...ends,
  };
}
