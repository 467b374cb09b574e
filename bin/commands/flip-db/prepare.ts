/**
 * What is found out before a flip, without changing anything: the prechecks of a new one, and the
 * plan of each. The executor plans again, under the lock.
 */
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import type { Environment } from "../../../config/schema.ts";
import { lockHolder } from "../../../router/flip-db/history.ts";
import type { LockHolder } from "../../../router/operation/lock.ts";
import { fold } from "../../../router/operation/records.ts";
import type { JournalRecord } from "../../../router/operation/records.ts";
import { readJournal } from "../../../router/operation/journal-file.ts";
import { listOperations } from "../../../router/operation/store.ts";
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import { lookAtAll } from "../../../router/flip-db/flip.ts";
import type { FlipWorld } from "../../../router/flip-db/flip.ts";
import { allParts } from "../../../router/flip-db/observation.ts";
import type { FlipObservation } from "../../../router/flip-db/observation.ts";
import { requestFor } from "../../../router/flip-db/plan/plan-request.ts";
import type { FlipRequest, Refusal } from "../../../router/flip-db/plan/plan-request.ts";
import { checkFlip } from "../../../router/flip-db/prechecks/precheck-facts.ts";
import type {
  FlipCheck,
  FlipCheckRequest,
} from "../../../router/flip-db/prechecks/precheck-facts.ts";
import { plan } from "../../../router/flip-db/plan.ts";
import type { Precheck } from "../../../router/flip-db/prechecks.ts";
import { isSilenceAlone } from "../../../router/flip-db/prechecks/judge.ts";
import { declaredMode } from "../../../router/flip-db/prechecks/mode.ts";
import { openFlipWorld } from "../../../router/flip-db/world.ts";
import type { Asked } from "./request.ts";

export interface Prepared {
  /** As the executor gets it. */
  readonly request: FlipRequest;
  readonly plan: FlipPlan | Refusal;
  /** Of a new flip alone. */
  readonly prechecks: readonly Precheck[];
  /** Who holds the lock of the cluster; asked where something refuses. */
  readonly holder: LockHolder | null;
}

export interface Preparation {
  readonly environment: Environment;
  readonly asked: Asked;
  /** Where this host keeps its operations. */
  readonly folder: string;
  /** Of a new flip. */
  readonly operationId: string;
  readonly run: string;
  readonly signal: AbortSignal;
  /** Says something to the operator, beside the result. */
  readonly note: (line: string) => void;
}

/** Every part has a shorter one; this is for all of them together. */
const lookDeadlineMs = 30_000;

/** Before the second look, so that what kept the parts from answering may pass. */
const calmMs = 500;

/** No member can be reached, so nothing can be said or done. */
export class FlipUnreachableError extends Error {
  override readonly name = "FlipUnreachableError";
  readonly code = "ERR_FLIP_UNREACHABLE";
  constructor(environment: string) {
    super(
      `${environment}: no member can be reached; bin/recovery ${environment} topology says why`,
    );
  }
}

/**
 * Looks, judges and plans; once more where parts were silent and nothing else is wrong.
 * @throws FlipUnreachableError when nothing of any member answers; what looking throws; the
 * signal's reason
 */
export async function prepare(preparation: Preparation): Promise<Prepared> {
  const { environment, asked, folder, operationId, run, signal } = preparation;
  const local = await openRecords(folder);
  const { seen, check } = await lookAndJudge(preparation, local);
  const members = Object.values(seen.members);
  if (members.every((one) => !one.reached && one.process === "unknown")) {
    throw new FlipUnreachableError(environment.name);
  }
  // The same operation may have been ended from another host.
  const states = fold([...local, ...seen.journal]);
  const mode = check?.mode ?? declaredMode(environment.edgePoolers);
  const request = requestFor(environment, asked, { operationId, run, mode, states });
  const chosen = plan(seen, states, request);
  const prechecks = check?.prechecks ?? [];
  const isRefused = "refused" in chosen || prechecks.some((one) => one.refuses);
  const holder = isRefused ? await lockHolder(environment, signal) : null;
  return { request, plan: chosen, prechecks, holder };
}

interface Looked {
  readonly seen: FlipObservation;
  /** Of a new flip alone. */
  readonly check: FlipCheck | null;
}

/** On hosts that are busy, all parts may be late at once: then, and only then, it looks once more. */
async function lookAndJudge(
  preparation: Preparation,
  local: readonly JournalRecord[],
): Promise<Looked> {
  const first = await look(preparation, local);
  if (first.check === null || !isSilenceAlone(first.check.prechecks)) return first;
  preparation.note("some parts were silent; looking again");
  await systemClock.sleep(calmMs, preparation.signal);
  return await look(preparation, local);
}

async function look(preparation: Preparation, local: readonly JournalRecord[]): Promise<Looked> {
  const { environment, asked, signal } = preparation;
  const work = async (inner: AbortSignal): Promise<Looked> => {
    const request = checkRequest({ ...preparation, signal: inner }, local);
    // What the checks say of a silent part decides whether all is looked at again.
    if (asked.goal !== "flip") {
      return {
        seen: await inWorld(environment, (world) => lookAtAll(world, asked, inner)),
        check: null,
      };
    }
    const once = inWorld(environment, (world) => world.observe(allParts, undefined, inner));
    const [seen, check] = await Promise.all([once, checkFlip(environment, request)]);
    return { seen, check };
  };
  return await withDeadline(`look at ${environment.name}`, lookDeadlineMs, work, signal);
}

/** The records of the operations that this host has not seen the end of. */
async function openRecords(folder: string): Promise<JournalRecord[]> {
  const local = await listOperations(folder);
  const open = local.filter(({ state }) => state !== undefined && state.outcome === null);
  const records = await Promise.all(open.map(({ files }) => readJournal(files.journal)));
  return records.flat();
}

function checkRequest(
  { asked, signal }: Preparation,
  localRecords: readonly JournalRecord[],
): FlipCheckRequest {
  const { wanted, acceptedRisks, to } = asked;
  return { wanted, acceptedRisks, signal, localRecords, ...(to === undefined ? {} : { to }) };
}

/** A look in a world that is opened for it alone. */
async function inWorld(
  environment: Environment,
  observe: (world: FlipWorld) => Promise<FlipObservation>,
): Promise<FlipObservation> {
  const world = await openFlipWorld(environment, { journalFile: null });
  try {
    return await observe(world);
  } finally {
    await world.close();
  }
}
