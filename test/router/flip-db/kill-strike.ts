/** A flip in this process, at one place of which something happens to the cluster before it acts. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { runFlip } from "../../../router/flip-db/flip.ts";
import type { FlipResult } from "../../../router/flip-db/flip.ts";
import type { FlipRequest } from "../../../router/flip-db/plan/plan-request.ts";
import { openFlipWorld } from "../../../router/flip-db/world.ts";
import { makeOperationFolder, operationFiles } from "../../../router/operation/store.ts";
import { struckWorld } from "../../support/flip-run.ts";
import type { Hands } from "./pitfall-hands.ts";

/**
 * Runs a seamless flip; once the record that `step` was begun is written, and before it acts,
 * `strike` is done. A step whose effect is there already is not struck.
 * @returns how it ended; throws what `strike` throws
 */
export async function flipStruck(
  { lab, stateHome }: Hands,
  step: string,
  strike: () => Promise<void>,
): Promise<FlipResult> {
  const operationId = `struck-${randomUUID().slice(0, 8)}`;
  const folder = join(stateHome, "switchyard/operations", lab.name);
  await makeOperationFolder(folder);
  const { environment } = lab;
  const journalFile = operationFiles(folder, operationId).journal;
  const real = await openFlipWorld(environment, { journalFile });
  const struck = struckWorld(real, { step, act: strike });
  const request: FlipRequest = {
    ...({ goal: "flip", mode: "seamless" } as const),
    ...{ run: `run-${operationId}`, operationId },
    environment: environment.name,
    members: environment.members.map((one) => one.name),
    synchronous: environment.flip.synchronous,
  };
  try {
    return await runFlip(request, struck, {
      holder: "struck@localhost",
      signal: new AbortController().signal,
      onEvent: () => undefined,
    });
  } finally {
    await real.close();
  }
}
