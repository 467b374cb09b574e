/** The entry of the package: what an app may use, and nothing else. */
export type { Role, TargetSessionAttrs } from "./target/attributes.ts";
export type { ClientConfig } from "./client-config.ts";
export { connectAny } from "./connect-any.ts";
export type { ConnectAnyOptions } from "./connect-any.ts";
export type { PoolClient } from "./pool/checkouts.ts";
export { ConnectError } from "./errors.ts";
export type { AttemptReason, FailedAttempt } from "./errors.ts";
export type { PrimaryChange, Staleness } from "./pool/epochs.ts";
export type { DialAddress } from "./search/finder.ts";
export { Client } from "./pg-client.ts";
export { createPool, Pool } from "./pool/pool.ts";
export type { PoolConfig } from "./pool/pool.ts";
export { createSharedFinder } from "./search/finder-handle.ts";
export type { SharedFinder, SharedFinderOptions } from "./search/finder-handle.ts";
export type { StaleReason } from "./session/staleness.ts";
