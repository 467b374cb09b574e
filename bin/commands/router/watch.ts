/** `router ENV watch`: a line for each change on a router, as it happens, until Ctrl-C. */
import type { Environment } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import { fleetOf } from "../../../router/haproxy/addresses.ts";
import { changesBetween } from "../../../router/haproxy/runtime/changes.ts";
import type { Look } from "../../../router/haproxy/runtime/changes.ts";
import { routerEvents } from "../../../router/haproxy/runtime/events.ts";
import { observeRouter, overRouters } from "../../../router/haproxy/runtime/fleet.ts";
import type { FleetRouter } from "../../../router/haproxy/runtime/fleet.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { chooseFleet } from "./fleet.ts";

const pollMs = 1000;

/** Prints changes until the signal aborts; 0 then. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation);
  const width = Math.max(...routers.map((one) => one.name.length));
  const print = (router: FleetRouter, line: string): void => {
    const time = new Date(systemClock.now()).toISOString().slice(11, 23);
    const name = router.name.padEnd(width);
    if (invocation.flags["json"] === true) {
      const at = new Date(systemClock.now()).toISOString();
      invocation.output.result(JSON.stringify({ at, router: router.name, change: line }));
    } else invocation.output.result(`${time}  ${name}  ${printable(line)}`);
  };
  await Promise.all(
    fleetOf(environment, routers).map((router) =>
      watchRouter(router, environment, invocation.signal, print),
    ),
  );
  return exitCodes.done;
}

async function watchRouter(
  router: FleetRouter,
  environment: Environment,
  signal: AbortSignal,
  print: (router: FleetRouter, line: string) => void,
): Promise<void> {
  const told: { look: Look | undefined; heard: string[] } = { look: undefined, heard: [] };
  for await (const event of routerEvents(router.runtime, { signal, pollMs })) {
    if (event.kind === "line") told.heard.push(event.text);
    if (event.kind === "lost" && told.look !== undefined && "view" in told.look) {
      print(router, `no event feed, looking every ${pollMs / 1000} s: ${event.why}`);
    }
    const look = await lookAt(router, environment.thresholds.probe, signal);
    if (look === undefined) return;
    for (const line of changesBetween(told.look, look, told.heard)) print(router, line);
    told.look = look;
    told.heard = [];
  }
}

/** undefined when the signal has aborted. */
async function lookAt(
  router: FleetRouter,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<Look | undefined> {
  try {
    const [result] = await overRouters([router], { deadlineMs, signal }, observeRouter);
    if (result === undefined) return undefined;
    return "value" in result ? { view: result.value } : { error: result.error };
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}
