/** `router ENV set BACKEND/SERVER ready|drain|maint`: an order to all routers, read back on each. */
import type { Environment } from "../../../config/schema.ts";
import { fleetOf } from "../../../router/haproxy/addresses.ts";
import { setServerState } from "../../../router/haproxy/runtime/change.ts";
import type { StateChange } from "../../../router/haproxy/runtime/change.ts";
import { stateWords } from "../../../router/haproxy/runtime/changes.ts";
import { showServers } from "../../../router/haproxy/runtime/client.ts";
import { parseServerName } from "../../../router/haproxy/runtime/commands.ts";
import type { AdminState } from "../../../router/haproxy/runtime/commands.ts";
import { overRouters } from "../../../router/haproxy/runtime/fleet.ts";
import type { FleetResult, FleetRouter } from "../../../router/haproxy/runtime/fleet.ts";
import { isHold, lastUpForWrites } from "../../../router/haproxy/runtime/orders.ts";
import { formatServerName } from "../../../router/haproxy/runtime/servers.ts";
import type { ServerName, ServerView } from "../../../router/haproxy/runtime/servers.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { RefusedError } from "../../cli/confirm.ts";
import { nearestHint } from "../environment.ts";
import { chooseFleet, exitCodeOfFleet } from "./fleet.ts";

const states = ["ready", "drain", "maint"] as const satisfies readonly AdminState[];

/** Carries out the order; 0 done on all, 1 failed on some, 3 refused, 69 no router answers. */
export async function run(invocation: Invocation): Promise<number> {
  const [target = "", word = ""] = invocation.arguments;
  const state = states.find((one) => one === word);
  if (state === undefined) {
    throw new UsageError(
      `a server can be set to ${states.join(", ")}; got ${JSON.stringify(word)}`,
      nearestHint(word, states),
    );
  }
  const of = parseServerName(target);
  const { environment, routers } = await chooseFleet(invocation);
  const fleet = fleetOf(environment, routers);
  const options = { deadlineMs: environment.thresholds.probe, signal: invocation.signal };
  const seen = await overRouters(fleet, options, showServers);
  if (exitCodeOfFleet(seen) === exitCodes.unavailable) {
    for (const line of failureLines(seen)) invocation.output.note(line);
    return exitCodes.unavailable;
  }
  checkExists(seen, of);
  const objections = state === "ready" ? [] : objectionsTo(seen, of, state, environment);
  if (objections.length > 0 && invocation.flags["yes"] !== true) {
    throw new RefusedError([...objections, "nothing was changed; --yes does it"].join("\n"));
  }
  for (const line of objections) invocation.output.note(line);
  const results = await overRouters(fleet, { ...options, overallMs: 5000 }, (runtime) =>
    setServerState(runtime, of, state),
  );
  report(invocation, results, state);
  return exitCodeOfFleet(results) === exitCodes.done ? exitCodes.done : exitCodes.failed;
}

type Seen = FleetResult<FleetRouter, readonly ServerView[]>;

function checkExists(seen: readonly Seen[], of: ServerName): void {
  const names = new Set(
    seen.flatMap((one) => ("value" in one ? one.value.map(formatServerName) : [])),
  );
  const name = formatServerName(of);
  if (names.has(name)) return;
  throw new UsageError(`no router has a server ${name}`, nearestHint(name, [...names]));
}

const fates: Readonly<Record<"drain" | "maint", (sessions: number) => string>> = {
  drain: (count) => (count === 1 ? "1 session stays" : `${count} sessions stay`),
  maint: (count) => (count === 1 ? "1 session is closed" : `${count} sessions are closed`),
};

/** What the order would take from those who write, one line for each router where it would. */
function objectionsTo(
  seen: readonly Seen[],
  of: ServerName,
  state: "drain" | "maint",
  environment: Environment,
): string[] {
  return seen.flatMap((one) => {
    if (isHold(of)) {
      const has = "value" in one && one.value.some(isHold);
      const says = `${formatServerName(of)} keeps clients waiting while no member is up: with ${state}, they get an end of connection instead`;
      return has ? [`${one.router.name}: ${says}`] : [];
    }
    const taken = "value" in one ? lastUpForWrites(one.value, of) : [];
    if (taken.length === 0) return [];
    const names = taken.map(formatServerName).join(", ");
    const fate = fates[state](taken.reduce((sum, view) => sum + view.sessions, 0));
    const wait = environment.haproxy.queueTimeout / 1000;
    return [
      `${one.router.name}: ${names} is the only server up for writes: with ${state}, ${fate}, ` +
        `and new connections wait up to ${wait} s and then fail`,
    ];
  });
}

function report(
  invocation: Invocation,
  results: readonly FleetResult<FleetRouter, StateChange>[],
  state: AdminState,
): void {
  if (invocation.flags["json"] === true) {
    const list = results.map((one) =>
      "value" in one
        ? { router: one.router.name, ok: true, ...one.value }
        : { router: one.router.name, ok: false, error: one.error.message },
    );
    invocation.output.result(JSON.stringify({ state, routers: list }));
    return;
  }
  for (const one of results) {
    if ("value" in one)
      invocation.output.result(printable(`${one.router.name}: ${changeLine(one.value)}`));
  }
  for (const line of failureLines(results)) invocation.output.note(line);
}

function changeLine({ before, after, sent, followers }: StateChange): string {
  const name = formatServerName(after);
  if (sent.length === 0) return `${name} was ${stateWords(before)} already (${before.check})`;
  const follow =
    followers.length === 0
      ? ""
      : `; ${followers.join(", ")} ${followers.length === 1 ? "follows" : "follow"} it`;
  const proves = sent.some((line) => line.endsWith("health down"));
  const checks = proves ? ", its checks decide when it is up" : "";
  return `${name} ${stateWords(before)} → ${stateWords(after)}${checks}${follow}`;
}

function failureLines(results: readonly FleetResult<FleetRouter, unknown>[]): string[] {
  return results.flatMap((one) =>
    "error" in one ? [printable(`${one.router.name}: not done: ${one.error.message}`)] : [],
  );
}
