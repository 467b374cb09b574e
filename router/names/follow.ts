/**
 * Lets the names follow a flip: the registry is asked to look now, and every resolver that is alive
 * is waited for, until it has acknowledged the generation and answers with the new primary.
 */
import { DeadlineError, systemClock, withDeadline } from "../../kit/clock.ts";
import { faultCode } from "../../kit/fault-words.ts";
import { fetchCluster, fetchNodes, reconcile } from "../../registry/client.ts";
import type { ClusterView, NodeView } from "../../registry/contract.ts";
import { askResolver } from "./ask.ts";
import type { Names } from "./ask.ts";
import { lateWords, noProgress } from "./progress.ts";
import type { FollowProgress } from "./progress.ts";
import { isAlive, isSameAddresses, othersAddress, registrySaid } from "./said.ts";

/** The names did not follow in time; nothing else of the flip is wrong. */
export class NamesError extends Error {
  override readonly name = "NamesError";
  readonly code = "ERR_NAMES";
  constructor(name: string, to: string, why: string, cause?: unknown) {
    super(`lead ${name} to ${to}: ${why}`, { cause });
  }
}

/** Where the names shall lead. */
export interface FollowWish {
  readonly to: string;
  /** The old primary of a failover: nobody waits for what stands on its host, or refuses connections. */
  readonly lost?: string;
}

/** When each resolver had the new answer, in ms since the names were asked to follow. */
export interface Followed {
  readonly generation: number;
  /** What acknowledged it to the registry, by node. */
  readonly acknowledged: Readonly<Record<string, number>>;
  /** What was asked for the name and answered with the new primary, by resolver. */
  readonly answered: Readonly<Record<string, number>>;
  /** Nodes that the registry has not heard of for a while, and that gave no such answer. */
  readonly absent: readonly string[];
  /** Nodes and resolvers that went with the host of a lost primary, or refuse connections. */
  readonly gone: readonly string[];
}

/** What is waited for once the registry has published. */
interface Wait {
  readonly addresses: readonly string[];
  readonly lost: LostHost | undefined;
  readonly progress: FollowProgress;
  readonly since: () => number;
}

/** What is known of the host of a lost primary. */
interface LostHost {
  readonly member: string;
  readonly host: string | undefined;
  /** Its node in the registry. */
  readonly node: string | null;
}

const lookEveryMs = 10;
/** A resolver that starts again while it is asked is met at the next ask, so none takes long. */
const askDeadlineMs = 500;
/** Who has waited long can wait a tenth longer, up to this. */
const slowestLookMs = 100;

/**
 * Waits until the names lead to member `wish.to`, for `names.deadlineMs` in all.
 * @throws NamesError that says what is missing; the signal's reason
 */
export async function followFlip(
  names: Names,
  { to, lost }: FollowWish,
  signal?: AbortSignal,
): Promise<Followed> {
  const began = systemClock.monotonic();
  const since = (): number => Math.round(systemClock.monotonic() - began);
  const progress = noProgress();
  const work = async (inner: AbortSignal): Promise<void> => {
    const { cluster, addresses } = await untilPublished(names, to, progress, inner);
    const wait = { addresses, lost: lostHost(names, cluster, lost), progress, since };
    await untilEveryone(names, wait, inner);
  };
  try {
    await withDeadline(`names of ${names.cluster}`, names.deadlineMs, work, signal);
  } catch (error) {
    signal?.throwIfAborted();
    const why = error instanceof DeadlineError ? lateWords(names, progress) : wordsOf(error);
    throw new NamesError(names.primary, to, why, error);
  }
  const { generation, acknowledged, answered } = progress;
  return { generation, acknowledged, answered, ...leftBehind(names, progress) };
}

/** Who was not waited for, and has not followed by itself. */
function leftBehind(
  { resolvers }: Names,
  { acknowledged, answered, ...progress }: FollowProgress,
): Pick<Followed, "absent" | "gone"> {
  const isAsked = (name: string): boolean => resolvers.some((one) => one.name === name);
  const isBehind = (name: string): boolean =>
    answered[name] === undefined && (isAsked(name) || acknowledged[name] === undefined);
  const gone = [...progress.gone].filter(isBehind).toSorted();
  return { gone, absent: progress.absent.filter((one) => isBehind(one) && !gone.includes(one)) };
}

function lostHost(
  { members }: Names,
  cluster: ClusterView,
  member: string | undefined,
): LostHost | undefined {
  if (member === undefined) return undefined;
  const host = members.find(({ name }) => name === member)?.host;
  return { member, host, node: cluster.members.find(({ name }) => name === member)?.node ?? null };
}

/** Whether it stands there; hosts are called as their members are. */
function standsOn(lost: LostHost | undefined, name: string, address: string | null): boolean {
  if (lost === undefined) return false;
  return name === lost.member || name === lost.node || (address !== null && address === lost.host);
}

/** A resolver that no node stands for is asked as well, and a node that is not declared is counted. */
async function untilEveryone(names: Names, wait: Wait, signal: AbortSignal): Promise<void> {
  const isLost = ({ name, address }: Names["resolvers"][number]): boolean =>
    standsOn(wait.lost, name, address.host);
  const over = new AbortController();
  const whileOthers = AbortSignal.any([signal, over.signal]);
  const lost = names.resolvers.filter(isLost).map(async (one) => {
    wait.progress.gone.add(one.name);
    // Asked all the same, and not waited for: its end is that of the others.
    await untilAnswered(names, one, wait, whileOthers).catch(() => undefined);
  });
  try {
    await Promise.all([
      untilAcknowledged(names, wait, signal),
      ...names.resolvers
        .filter((one) => !isLost(one))
        .map((one) => untilAnswered(names, one, wait, signal)),
    ]);
  } finally {
    over.abort();
    await Promise.all(lost);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Its source may see the new primary a moment later than the flip does. */
async function untilPublished(
  names: Names,
  to: string,
  progress: FollowProgress,
  signal: AbortSignal,
): Promise<{ readonly cluster: ClusterView; readonly addresses: readonly string[] }> {
  for (let turn = 0; ; turn += 1) {
    const reply = await unlessAway(progress, signal, () =>
      reconcile(names.registry, names.cluster, signal),
    );
    if (reply?.roles.primary === to) {
      const cluster = await unlessAway(progress, signal, () =>
        fetchCluster(names.registry, names.cluster, signal),
      );
      if (cluster !== undefined) {
        const { addresses } = registrySaid(names.primary, cluster, []);
        progress.waiting = whyNotThere(names, to, addresses);
        progress.generation = Math.max(reply.generation, 1);
        if (progress.waiting === undefined) return { cluster, addresses };
      }
    } else if (reply !== undefined) {
      const { outcome, primary, reasons } = reply.roles;
      const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
      progress.waiting = `the registry says ${outcome}, primary ${primary ?? "none"}${why}`;
    }
    await pause(turn, signal);
  }
}

function whyNotThere(
  { members }: Names,
  to: string,
  addresses: readonly string[],
): string | undefined {
  if (addresses.length === 0) return `the registry has no address of ${to}`;
  const other = othersAddress(addresses, to, members);
  return other === undefined
    ? undefined
    : `the registry has ${to} at ${other.host}, the address of ${other.name}`;
}

/** A registry that is away for a moment is asked again; one that refuses is not. */
async function unlessAway<T>(
  progress: FollowProgress,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  try {
    const answer = await ask();
    progress.fault = undefined;
    return answer;
  } catch (error) {
    signal.throwIfAborted();
    const { code } = error as { code?: unknown };
    if (code === "ERR_REGISTRY_DENIED" || code === "ERR_REGISTRY_REQUEST") throw error;
    progress.fault = wordsOf(error);
    return undefined;
  }
}

async function untilAcknowledged(names: Names, wait: Wait, signal: AbortSignal): Promise<void> {
  const { progress } = wait;
  for (let turn = 0; ; turn += 1) {
    const reply = await unlessAway(progress, signal, () => fetchNodes(names.registry, {}, signal));
    if (reply !== undefined) {
      note(
        reply.nodes.filter((one) => !one.revoked),
        wait,
      );
      if (progress.late.length === 0) return;
    }
    await pause(turn, signal);
  }
}

/** Notes who has it by now, and who is alive and has not. */
function note(nodes: readonly NodeView[], { progress, lost, since }: Wait): void {
  const { acknowledged, gone, generation } = progress;
  const isLate = (one: NodeView): boolean => one.applied_generation < generation;
  for (const one of nodes) {
    if (standsOn(lost, one.name, one.address)) gone.add(one.name);
    if (isAlive(one) && !isLate(one)) acknowledged[one.name] ??= since();
  }
  // One that was never heard of has no zone, and so nothing old to answer.
  const wasHeard = nodes.filter((one) => one.last_sync_at !== null);
  progress.absent = wasHeard.filter((one) => !isAlive(one)).map((one) => one.name);
  const late = nodes.filter((one) => isAlive(one) && isLate(one) && !gone.has(one.name));
  progress.late = late.map((one) => one.name);
}

async function untilAnswered(
  names: Names,
  { name, address }: Names["resolvers"][number],
  wait: Wait,
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    try {
      const deadlineMs = Math.min(names.deadlineMs, askDeadlineMs);
      const said = await askResolver(names, address, { deadlineMs, signal });
      if (isSameAddresses(said.addresses, wait.addresses)) {
        wait.progress.answered[name] = wait.since();
        return;
      }
      delete wait.progress.faults[name];
    } catch (error) {
      signal.throwIfAborted();
      wait.progress.faults[name] = wordsOf(error);
      if (wait.lost !== undefined && isRefused(error)) {
        wait.progress.gone.add(name);
        return;
      }
    }
    await pause(turn, signal);
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && faultCode(error.cause) === "ECONNREFUSED";
}

async function pause(turn: number, signal: AbortSignal): Promise<void> {
  await systemClock.sleep(Math.min(slowestLookMs, lookEveryMs * 1.1 ** turn), signal);
}
