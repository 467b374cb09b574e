/**
 * What an app holds of a finder: something that Clients and connectAny can share, so that each knows
 * who passed last and only one of them searches at a time. What it can do is ours alone.
 */
import { createFinder } from "./finder.ts";
import type { Finder } from "./finder.ts";

declare const opaque: unique symbol;

/** Made by createSharedFinder, for the option `finder`. */
export interface SharedFinder {
  readonly [opaque]: true;
}

export interface SharedFinderOptions {
  /** Name servers to ask instead of the system: `address` or `address:port`. */
  readonly servers?: readonly string[] | undefined;
  /** How long an attempt runs alone before the next address is tried beside it; default 250 ms. */
  readonly staggerMs?: number | undefined;
  /** How long one attempt at one address may take; default 5000 ms. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Of a whole search, where who searches gives none; default 10 s. */
  readonly deadlineMs?: number | undefined;
  /** How long one question to a name server may take; default 2000 ms. */
  readonly dnsTimeoutMs?: number | undefined;
}

const finders = new WeakMap<object, Finder>();

/** A finder that knows nothing yet. It holds no timer and no socket while nobody searches. */
export function createSharedFinder(options: SharedFinderOptions = {}): SharedFinder {
  const shared = Object.freeze({}) as SharedFinder;
  finders.set(shared, createFinder(options));
  return shared;
}

/** @throws TypeError for anything that createSharedFinder did not make */
export function finderOf(shared: SharedFinder): Finder {
  const finder = finders.get(shared);
  if (finder === undefined) throw new TypeError("a finder is what createSharedFinder gives");
  return finder;
}
