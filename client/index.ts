/** The entry of the package: what an app may use, and nothing else. */
export type { Role, TargetSessionAttrs } from "./attributes.ts";
export type { ClientConfig } from "./client-config.ts";
export { connectAny } from "./connect-any.ts";
export type { ConnectAnyOptions } from "./connect-any.ts";
export type { PoolClient } from "./checkouts.ts";
export { ConnectError } from "./errors.ts";
export type { AttemptReason, FailedAttempt } from "./errors.ts";
export type { PrimaryChange, Staleness } from "./epochs.ts";
export type { DialAddress } from "./finder.ts";
export { Client } from "./pg-client.ts";
export { createPool, Pool } from "./pool.ts";
export type { PoolConfig } from "./pool.ts";
export { createSharedFinder } from "./finder-handle.ts";
export type { SharedFinder, SharedFinderOptions } from "./finder-handle.ts";
export type { StaleReason } from "./staleness.ts";
