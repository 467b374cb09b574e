/** `router ENV status`: what each router thinks of each server, and whether they agree. */
import { fleetOf } from "../../../router/haproxy/addresses.ts";
import { addressAt } from "../../../router/haproxy/runtime/address.ts";
import {
  disagreements,
  observeRouter,
  overRouters,
} from "../../../router/haproxy/runtime/fleet.ts";
import type { RouterResult } from "../../../router/haproxy/runtime/fleet.ts";
import { upForWrites } from "../../../router/haproxy/runtime/orders.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { chooseFleet, exitCodeOfFleet } from "./fleet.ts";
import { complaints, statusLines, verdict } from "./table.ts";

/** Prints the status; 0 all answer, agree and send writes to one member, 1 not, 69 none answers. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation);
  const results: RouterResult[] = await overRouters(
    fleetOf(environment, routers),
    { deadlineMs: environment.thresholds.probe, signal: invocation.signal },
    observeRouter,
  );
  if (invocation.flags["json"] === true) {
    const json = { environment: environment.name, ...statusJson(results) };
    invocation.output.result(JSON.stringify(json));
  } else {
    for (const line of statusLines(results, invocation.output.style))
      invocation.output.result(line);
  }
  const code = exitCodeOfFleet(results);
  return code === exitCodes.done && complaints(results).length > 0 ? exitCodes.failed : code;
}

function statusJson(results: readonly RouterResult[]): object {
  return {
    agree: results.every((one) => "value" in one) && disagreements(results).length === 0,
    verdict: verdict(results),
    disagreements: disagreements(results),
    routers: results.map((one) => {
      const { name } = one.router;
      const runtime = addressAt(one.router.runtime).text;
      if ("error" in one) {
        const { message } = one.error;
        const code = (one.error as { code?: unknown }).code ?? null;
        return { name, runtime, reachable: false, error: { code, message } };
      }
      const { info, servers, queues, oldWorkers, masterError } = one.value;
      return {
        name,
        runtime,
        reachable: true,
        ...info,
        takesWrites: upForWrites(servers).map((view) => view.server),
        servers,
        queues,
        oldWorkers: oldWorkers?.map((row) => ({ ...row, sessions: row.sessions.length })) ?? null,
        masterError: masterError?.message ?? null,
      };
    }),
  };
}
