/**
 * The parts of a running resolver put together: what keeps the zone, the addresses that
 * answer from it, the way out for the rest, and the questions that it asks itself. It starts in the
 * order in which nobody is told more than is so: snapshot, addresses, a question to each, the registry.
 */
import { every, withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { faultWords } from "../../kit/fault-words.ts";
import type { Logger } from "../../kit/logger.ts";
import type { ResolverStatus } from "./contract.ts";
import { createForwarder } from "./forward/forwarder.ts";
import { startListeners } from "./listen/listeners.ts";
import type { Listeners } from "./listen/listeners.ts";
import { createServedZone } from "./served-zone.ts";
import type { Settings } from "./settings.ts";
import { statusOf } from "./status.ts";
import type { Offer } from "./sync/sync.ts";
import { SyncHost } from "./sync/sync-host.ts";
import { createUpstreams } from "./upstream-reload.ts";
import { createServing } from "./zone/serving.ts";

export interface Resolver {
  status(): ResolverStatus;
  /** Reads the upstreams anew from their file; what is wrong with them is logged. */
  reloadUpstreams(): Promise<void>;
  stop(): Promise<void>;
}

export interface ResolverOptions {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A snapshot that takes longer is served when it comes, and the registry may be quicker. */
const loadDeadlineMs = 20_000;
const proofEveryMs = 15_000;

/**
 * Starts all of it; resolves when each address was tried once.
 * @throws ForwardUpstreamError, NameError, the signal's reason
 */
export async function startResolver(
  options: ResolverOptions,
  signal: AbortSignal,
): Promise<Resolver> {
  const { clock, logger, settings } = options;
  const { folder, node, registry, token, zone } = settings;
  const serving = createServing(zone);
  const forwarder = forwarderOf(settings, clock);
  const upstreams = createUpstreams(settings, forwarder, logger);
  let listeners: Listeners | undefined;
  const served = createServedZone(serving, zone.zone, () => listeners?.states() ?? []);
  const order = { registry, node, token: token.reveal(), zone, folder };
  const serve = (offer: Offer): Promise<readonly string[]> => served.serve(offer);
  const host = new SyncHost({ order, clock, logger, serve });
  try {
    await loaded(host, logger, signal);
    const { engine, listen: addresses } = settings;
    const answering = { addresses, engine, settings: zone, serving, forwarder, clock, logger };
    listeners = await startListeners(answering);
  } catch (error) {
    await Promise.all([host.stop(), forwarder?.close()]);
    throw error;
  }
  for (const fault of await served.prove()) logger.error({ step: "self-question" }, fault);
  host.follow();
  const proveAgain = async (): Promise<void> => {
    const gone = await served.proveAgain();
    if (gone.length > 0) host.mended(gone);
  };
  const stopProving = every(proofEveryMs, () => void proveAgain());
  const running = listeners;
  return {
    status: () => {
      const counters = {
        ...running.counts(),
        ...prefixed("forward_", forwarder?.counters() ?? {}),
      };
      const [now, sync, listen] = [clock.now(), host.state, running.states()];
      const zoneFacts = { served: served.facts(), faults: served.faults() };
      const told = { ...settings, upstreams: upstreams.current() };
      return statusOf({ settings: told, ...zoneFacts, now, sync, listen, counters });
    },
    reloadUpstreams: () => upstreams.reload(),
    stop: async () => {
      stopProving();
      // First: who asks next is told at once that nobody is here, and asks another resolver.
      await running.close();
      await Promise.all([host.stop(), forwarder?.close()]);
    },
  };
}

async function loaded(host: SyncHost, logger: Logger, signal: AbortSignal): Promise<void> {
  try {
    await withDeadline("load the snapshot", loadDeadlineMs, () => host.loaded, signal);
  } catch (error) {
    signal.throwIfAborted();
    logger.error({ reason: faultWords(error) }, "starts without a snapshot");
  }
}

function forwarderOf(settings: Settings, clock: Clock) {
  const { listen: ownAddresses, upstreams, zone } = settings;
  if (!zone.forwards) return undefined;
  return createForwarder({ ...upstreams, ownAddresses, udpSizeMax: zone.udpSizeMax }, clock);
}

function prefixed(prefix: string, counts: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(counts).map(([name, value]) => [prefix + name, value]));
}
