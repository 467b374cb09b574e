/**
 * DNS-based backend resolution: targets of proxies, given by host name, looked up again and again,
 * each with a callback that hears of its addresses when they change.
 */
import type { OnUpdate } from "./watch/deliveries.ts";
import type { Listener } from "./watch/events.ts";
import type { OnceOptions } from "./lookup/once.ts";
import { RunningResolution } from "./watch/running-resolution.ts";
import type { ResolutionOptions } from "./watch/running-resolution.ts";
import type { ProxyStatus, TargetStatus } from "./watch/status.ts";
import type { TargetOptions } from "./target.ts";

export interface BackendResolution {
  /** Targets are looked up by the clock from now on. */
  start(): void;
  /** Ends all: targets, subscriptions, lookups. Resolves when no callback runs any more, 5 s at most. */
  stop(): Promise<void>;
  running(): boolean;
  /**
   * Looks the name up, tells `onUpdate` its addresses and, once started, of every change. The same
   * name of the same proxy is replaced at that moment, and stays as it was if this one fails.
   * @throws TargetOptionsError, FirstResolutionError (by the startup policy), RegistrationEndedError
   */
  registerTarget(
    proxyName: string,
    hostname: string,
    options: TargetOptions,
    onUpdate: OnUpdate,
  ): Promise<TargetStatus>;
  /** No callback begins afterwards. @returns whether there was one, or one on its way */
  unregisterTarget(proxyName: string, hostname: string): boolean;
  unregisterProxy(proxyName: string): boolean;
  /** Undefined when the proxy has no target. */
  getStatus(proxyName: string): ProxyStatus | undefined;
  getAllStatus(): Readonly<Record<string, ProxyStatus>>;
  /** Looks now: one target, or all of a proxy. False when one fails, or there is none. */
  forceResolve(proxyName: string, hostname?: string): Promise<boolean>;
  /** The first address of a name. @throws LookupError */
  resolveHostname(hostname: string, options?: OnceOptions): Promise<string>;
  /** All addresses of a name, sorted. @throws LookupError */
  resolveAllIps(hostname: string, options?: OnceOptions): Promise<string[]>;
  /** @returns what ends the subscription */
  subscribe(listener: Listener): () => void;
  /** No lookups by the clock until `resume`; forced ones still run. */
  pause(): void;
  resume(): void;
  /**
   * Somebody could not connect to an address of the target: it is looked up as soon as
   * minRefreshSeconds allow. @returns whether that is sooner than planned
   */
  reportConnectError(proxyName: string, hostname: string): boolean;
}

/** Makes a resolution that is not started and has no targets. */
export function createBackendResolution(options: ResolutionOptions = {}): BackendResolution {
  const all = new RunningResolution(options);
  // Each may be taken out of the object and called by itself.
  return {
    start: () => all.start(),
    stop: () => all.stop(),
    running: () => all.isRunning,
    registerTarget: (...target) => all.register(...target),
    unregisterTarget: (proxyName, hostname) => all.unregister(proxyName, hostname),
    unregisterProxy: (proxyName) => all.unregisterProxy(proxyName),
    getStatus: (proxyName) => all.status(proxyName),
    getAllStatus: () => all.allStatus(),
    forceResolve: (proxyName, hostname) => all.force(proxyName, hostname),
    resolveHostname: async (hostname, asked) => (await all.ask(hostname, asked))[0] ?? "",
    resolveAllIps: (hostname, asked) => all.ask(hostname, asked),
    subscribe: (listener) => all.bus.subscribe(listener),
    pause: () => all.pause(),
    resume: () => all.resume(),
    reportConnectError: (proxyName, hostname) =>
      all.installed(proxyName, hostname)?.lookSoon() ?? false,
  };
}
