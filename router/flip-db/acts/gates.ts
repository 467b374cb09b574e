/**
 * The pool-gates of a cluster during a flip: all are paused at once under leases that this process
 * renews as long as it lives, and resumed at once.
 */
import type { EdgePooler, Environment } from "../../../config/schema.ts";
import { every, systemClock } from "../../../kit/clock.ts";
import { openGate } from "../../../sidecars/pool-gate/client.ts";
import type { GateClient } from "../../../sidecars/pool-gate/client.ts";
import type { GateStatus } from "../../../sidecars/pool-gate/contract.ts";
import type { GateSeen } from "../observation.ts";

const holderPrefix = "flip-db ";
const renewEveryMs = 250;
/** A gate's answer to an act tells how it is as well as a look would, for this long. */
const answerServesMs = 250;

interface Gate {
  readonly name: string;
  readonly databases: readonly string[];
  readonly client: GateClient;
  /** The lease that the run asks for; another one once the first has ended before this process held. */
  lease: "first" | "second";
  /** When its clients began to wait (monotonic ms); undefined while they do not. */
  heldSince: number | undefined;
  /** How many acts were begun: an answer to any but the latest says nothing of how it is now. */
  acts: number;
  /** How it was by its answer to the last act, and when that came; undefined when it failed. */
  told: { readonly at: number; readonly pausedBy: string | null } | undefined;
}

/** Something failed at some of the gates; the message names each with its reason. */
export class GatesError extends Error {
  override readonly name = "GatesError";
  readonly code = "ERR_GATES";
  readonly gates: readonly string[];
  constructor(tried: string, failed: readonly { name: string; reason: unknown }[]) {
    const words = failed.map(({ reason }) =>
      reason instanceof Error ? reason.message : String(reason),
    );
    super(`${tried}: ${words.join("; ")}`, { cause: failed[0]?.reason });
    this.gates = failed.map(({ name }) => name);
  }
}

export class Gates {
  readonly #gates: readonly Gate[];
  readonly #ttlMs: number;
  readonly #deadlineMs: number;
  #stopRenewing: (() => void) | undefined;

  constructor(environment: Environment) {
    this.#gates = environment.edgePoolers.flatMap((one) => gateOf(one) ?? []);
    this.#ttlMs = environment.flip.holdTtl;
    this.#deadlineMs = environment.flip.holdDeadline;
  }

  /** Opens the connections that hold and release use. @throws GatesError */
  async warm(signal: AbortSignal): Promise<void> {
    await this.#each("warm the gates", async ({ client }) => void (await client.warm(signal)));
  }

  /** How each gate is; one that does not answer, or whose pooler is silent, is not reached. */
  async look(signal: AbortSignal): Promise<GateSeen[]> {
    return await Promise.all(
      this.#gates.map(async ({ name, client, told }) => {
        if (told !== undefined && systemClock.monotonic() - told.at < answerServesMs) {
          return { name, reached: true, pausedBy: told.pausedBy };
        }
        try {
          return { name, ...seenOf(await client.status(signal)) };
        } catch {
          signal.throwIfAborted();
          return { name, reached: false, pausedBy: null };
        }
      }),
    );
  }

  /**
   * Pauses all gates in the name of `run`, and renews until release. What fails, or is aborted,
   * lets all clients go on at once: a gate that still waits for transactions would hold them later.
   * @throws GatesError, or the signal's reason
   */
  async hold(run: string, signal: AbortSignal): Promise<void> {
    this.#stopRenewing ??= every(renewEveryMs, () => void this.#renew(run));
    try {
      await this.#each("hold the clients", async (gate) => {
        gate.heldSince ??= systemClock.monotonic();
        const { databases } = gate;
        const terms = { ttlMs: this.#ttlMs, deadlineMs: this.#deadlineMs };
        const holder = `${holderPrefix}${run}`;
        const asked = { ...terms, databases: [...databases], holder };
        const pause = (): Promise<unknown> =>
          gate.client.pause({ ...asked, lease: leaseOf(gate, run) }, signal);
        await telling(gate, run, async () => {
          try {
            await pause();
          } catch (error) {
            // A watcher goes on under the run of the dead executor, whose lease is never given again.
            if (gate.lease === "second" || !hasEnded(error)) throw error;
            gate.lease = "second";
            await pause();
          }
        });
      });
    } catch (error) {
      await this.release(run).catch(() => undefined);
      signal.throwIfAborted();
      throw error;
    }
  }

  /**
   * Resumes what the leases of `run` paused.
   * @returns for how long the slowest gate held its clients; null when none was held from here
   * @throws GatesError; the leases of gates that did not answer end by themselves
   */
  async release(run: string, signal?: AbortSignal): Promise<number | null> {
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
    const held: number[] = [];
    await this.#each("let the clients go on", async (gate) => {
      await telling(gate, null, () =>
        gate.client.resume(leaseOf(gate, run), signal).catch(passEnded),
      );
      if (gate.heldSince !== undefined) held.push(systemClock.monotonic() - gate.heldSince);
      gate.heldSince = undefined;
    });
    return held.length === 0 ? null : Math.max(...held);
  }

  close(): void {
    this.#stopRenewing?.();
    for (const { client } of this.#gates) client.close();
  }

  async #renew(run: string): Promise<void> {
    // A lease that could not be renewed shows itself in the next look.
    await Promise.allSettled(
      this.#gates.map((gate) =>
        telling(gate, run, () => gate.client.renew(leaseOf(gate, run), this.#ttlMs)),
      ),
    );
  }

  async #each(tried: string, act: (gate: Gate) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.#gates.map(act));
    const failed = results.flatMap((one, index) =>
      one.status === "rejected"
        ? [{ name: this.#gates[index]?.name ?? "", reason: one.reason as unknown }]
        : [],
    );
    if (failed.length > 0) throw new GatesError(tried, failed);
  }
}

function gateOf({ name, databases, gate }: EdgePooler): Gate | undefined {
  if (gate === undefined) return undefined;
  const client = openGate({ name, url: gate.url, token: () => gate.token.reveal() });
  return {
    name,
    databases,
    client,
    lease: "first",
    heldSince: undefined,
    acts: 0,
    told: undefined,
  };
}

/** Does `act` and keeps what its answer says of the gate. */
async function telling(
  gate: Gate,
  pausedBy: string | null,
  act: () => Promise<unknown>,
): Promise<void> {
  gate.told = undefined;
  gate.acts += 1;
  const own = gate.acts;
  await act();
  // A renewal that was sent before a release may be answered after it.
  if (gate.acts === own) gate.told = { at: systemClock.monotonic(), pausedBy };
}

/** The same for every gate: each knows only its own leases. */
function leaseOf({ lease }: Gate, run: string): string {
  return `flip-db-${run}${lease === "second" ? "-again" : ""}`;
}

function hasEnded(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_GATE_LEASE_LOST";
}

/** A lease that has ended holds nobody. */
function passEnded(error: unknown): void {
  if (!hasEnded(error)) throw error;
}

/** While a gate still waits for transactions, its clients are not held yet. */
function seenOf(status: GateStatus): Omit<GateSeen, "name"> {
  const { state, holder, reason, expiresInMs } = status;
  if (state === "unreachable") return { reached: false, pausedBy: null };
  if (state === "foreign") return { reached: true, pausedBy: reason };
  if (state !== "paused") return { reached: true, pausedBy: null };
  const isFlip = holder?.startsWith(holderPrefix) === true;
  const run = isFlip ? holder.slice(holderPrefix.length) : holder;
  const ends = expiresInMs === null ? {} : { endsInMs: expiresInMs };
  return { reached: true, pausedBy: run ?? reason, ...ends };
}
