/**
 * Carries out a flip on a lab in this process, past the command line, and watches an app that
 * writes meanwhile.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { Address } from "../../kit/address.ts";
import { eventually } from "../../kit/clock.ts";
import { verifyWorkload, Workload } from "../../lab/workload.ts";
import type { Verification } from "../../lab/workload.ts";
import type { WorkloadReport } from "../../lab/tally.ts";
import { runFlip } from "../../router/flip-db/flip.ts";
import type { FlipResult, FlipWorld } from "../../router/flip-db/flip.ts";
import type { FlipRequest } from "../../router/flip-db/plan/plan-request.ts";
import { openFlipWorld } from "../../router/flip-db/world.ts";
import { operationFiles } from "../../router/operation/store.ts";
import type { StepEvent } from "../../router/operation/run-step.ts";
import type { TestLab } from "./lab.ts";

const soon = { deadlineMs: 30_000, intervalMs: 20 };

export interface FlipRun {
  readonly goal?: FlipRequest["goal"];
  readonly mode?: FlipRequest["mode"];
  readonly operationId?: string;
  readonly operatorSaysDead?: boolean;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: StepEvent) => void;
  readonly strike?: Strike;
}

/** What happens to the cluster once the record that `step` was begun is written, and before it acts. */
export interface Strike {
  readonly step: string;
  readonly act: () => Promise<void>;
}

/** The world with a strike in it: the flip does not go on before that is done. */
export function struckWorld(world: FlipWorld, { step, act }: Strike): FlipWorld {
  const { journal } = world;
  return {
    ...world,
    journal: {
      note: (record) => journal.note?.(record),
      append: async (record) => {
        await journal.append(record);
        if (record.step === step && record.phase === "started") await act();
      },
    },
  };
}

export interface FlipDone {
  readonly operationId: string;
  readonly result: FlipResult;
  readonly events: readonly StepEvent[];
  /** Such as `stop done`, in order. */
  readonly words: readonly string[];
}

/** Runs flips on `lab`; their local journals lie in a folder of the test's own. */
export async function flipRunner(
  t: Pick<Test, "teardown">,
  lab: TestLab,
): Promise<(run?: FlipRun) => Promise<FlipDone>> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-flips-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return async (run = {}) => {
    const started = randomUUID().slice(0, 8);
    const { operationId = started, goal = "flip", mode = "seamless" } = run;
    const journalFile = operationFiles(folder, operationId).journal;
    const world = await openFlipWorld(lab.environment, { journalFile });
    const events: StepEvent[] = [];
    const { name, members, flip } = lab.environment;
    const request = {
      ...{ goal, mode, run: started, environment: name, synchronous: flip.synchronous },
      members: members.map((one) => one.name),
      ...(goal === "flip" || run.operationId !== undefined ? { operationId } : {}),
      ...(run.operatorSaysDead === undefined ? {} : { operatorSaysDead: run.operatorSaysDead }),
    };
    try {
      const struck = run.strike === undefined ? world : struckWorld(world, run.strike);
      const result = await runFlip(request, struck, {
        holder: "test@localhost",
        signal: run.signal ?? new AbortController().signal,
        onEvent: (event) => {
          events.push(event);
          run.onEvent?.(event);
        },
      });
      const words = events.map(({ step, phase }) => `${step} ${phase}`);
      return { operationId, result, events, words };
    } finally {
      await world.close();
    }
  };
}

/** An app on a lab, with what it has to be asked for afterwards. */
export interface LabApp {
  readonly workload: Workload;
  /** Waits until it has `count` acknowledged rows more than now. */
  progress(count: number): Promise<void>;
  /** Ends it, and looks for its rows on every member once they have caught up. */
  end(): Promise<{ report: WorkloadReport; found: readonly Verification[] }>;
}

let tables = 0;

/** Starts an app that inserts through `address` over `connections` connections. */
export async function labApp(
  t: Pick<Test, "teardown">,
  lab: TestLab,
  address: Address,
  connections: number,
): Promise<LabApp> {
  const { user, password, database } = lab.json;
  const login = { user, password, database };
  tables += 1;
  const table = `app_${tables}`;
  const workload = await Workload.start({ address, login, table, connections, rate: 100 });
  t.teardown(() => workload.abandon());
  return {
    workload,
    progress: async (count) => {
      const goal = workload.report().acknowledgedIds.length + count;
      await eventually(`${count} rows more`, soon, () =>
        workload.report().acknowledgedIds.length >= goal ? true : undefined,
      );
    },
    end: async () => {
      const report = await workload.stop();
      const found = lab.json.members.map((member) =>
        eventually(`${member.name} has caught up`, soon, async () => {
          const now = await verifyWorkload(member.postgres, login, table, report);
          return now.missing.length === 0 ? now : undefined;
        }),
      );
      return { report, found: await Promise.all(found) };
    },
  };
}
