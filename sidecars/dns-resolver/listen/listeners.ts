/**
 * The addresses at which the resolver can be asked, each over UDP and TCP. They fail independently:
 * one that cannot be bound is tried again until it can, and the others answer meanwhile.
 */
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";
import { every } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import { createDesk } from "../engine/desk.ts";
import type { Desk } from "../engine/desk.ts";
import { openEngine } from "../engine/open.ts";
import type { Engine, EngineName } from "../engine/open.ts";
import { totals } from "../engine/tally.ts";
import { hasWildcard, meantAddresses } from "./listen-addresses.ts";
import type { Forwarder, ZoneSettings } from "../parts.ts";
import { startTcp } from "./tcp.ts";
import type { TcpListener } from "./tcp.ts";
import type { Serving } from "../zone/serving.ts";

export interface ListenState {
  readonly address: Address;
  readonly state: "bound" | "retrying";
  /** What answers over UDP there; null while not bound. */
  readonly engine: EngineName | null;
  /** Why it is not bound; null where it is. */
  readonly error: string | null;
}

export interface ListenOptions {
  /** A wildcard stands for every address that the host has, also later. */
  readonly addresses: readonly Address[];
  readonly engine: "auto" | EngineName;
  readonly settings: ZoneSettings;
  readonly serving: Serving;
  /** Undefined: strictly authoritative. */
  readonly forwarder: Forwarder | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Listeners {
  states(): readonly ListenState[];
  /** Counters by name, since the start: queries by transport, answers by rcode, and the rest. */
  counts(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/** Milliseconds until an address is tried again, doubled each time. */
const retry = { firstMs: 250, lastMs: 5000 } as const;

/** Milliseconds between two looks at the addresses of the host, where all of them are meant. */
const lookMs = 2000;

/** One address: what listens there, or why nothing does. */
interface Post {
  readonly address: Address;
  error: string | null;
  bound: { readonly udp: { close(): Promise<void> }; readonly tcp: TcpListener } | undefined;
}

/**
 * Resolves when each address has been tried once; what cannot be bound is tried again from then on.
 * @throws EngineError when the engine that is asked for cannot run here
 */
export async function startListeners(options: ListenOptions): Promise<Listeners> {
  const { addresses, logger, settings, serving, forwarder } = options;
  const desk = createDesk(settings, serving, forwarder);
  const engine = await openEngine(options.engine, desk, logger);
  const stop = new AbortController();
  const posts: Post[] = [];
  const keeping: Promise<void>[] = [];
  const open = async (): Promise<void> => {
    const news = stop.signal.aborted ? [] : newPosts(posts, addresses);
    posts.push(...news);
    await Promise.all(news.map((post) => tryPost(post, engine, desk, logger)));
    keeping.push(...news.map((post) => keepTrying(post, engine, desk, options, stop.signal)));
  };
  let opening = open();
  await opening;
  const look = (): void => void (opening = opening.then(open));
  const stopLooking = hasWildcard(addresses) ? every(lookMs, look) : undefined;
  return {
    states: () =>
      posts.map(({ address, error, bound }) => ({
        address,
        state: bound === undefined ? "retrying" : "bound",
        engine: bound === undefined ? null : engine.name,
        error,
      })),
    counts: () => ({
      ...totals([desk.tally, ...engine.tallies()]),
      tcp_open: posts.reduce((sum, { bound }) => sum + (bound?.tcp.connections ?? 0), 0),
    }),
    close: async () => {
      stop.abort();
      stopLooking?.();
      await opening;
      await Promise.all(keeping);
      for (const { bound } of posts) {
        await bound?.udp.close();
        await bound?.tcp.close();
      }
      await engine.close();
    },
  };
}

function newPosts(posts: readonly Post[], addresses: readonly Address[]): Post[] {
  const known = new Set(posts.map(({ address }) => formatAddress(address)));
  return meantAddresses(addresses)
    .filter((address) => !known.has(formatAddress(address)))
    .map((address) => ({ address, error: null, bound: undefined }));
}

async function tryPost(post: Post, engine: Engine, desk: Desk, logger: Logger): Promise<void> {
  const { address } = post;
  const text = formatAddress(address);
  try {
    const udp = await engine.listen(address);
    try {
      post.bound = { udp, tcp: await startTcp(address, desk) };
    } catch (error) {
      await udp.close();
      throw error;
    }
    post.error = null;
    logger.info({ step: "listen" }, `answers at ${text} (${engine.name})`);
  } catch (error) {
    const why = faultWords(error);
    if (post.error !== why) logger.warn({ step: "listen" }, `cannot listen at ${text}: ${why}`);
    post.error = why;
  }
}

async function keepTrying(
  post: Post,
  engine: Engine,
  desk: Desk,
  options: ListenOptions,
  signal: AbortSignal,
): Promise<void> {
  let waitMs: number = retry.firstMs;
  while (post.bound === undefined && !signal.aborted) {
    try {
      await options.clock.sleep(waitMs, signal);
    } catch {
      // The end was asked for while waiting.
      return;
    }
    waitMs = Math.min(retry.lastMs, waitMs * 2);
    await tryPost(post, engine, desk, options.logger);
  }
}
