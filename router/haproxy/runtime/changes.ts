/** What has changed on a router between two looks, in lines for an operator. */
import { countInWords } from "../../../config/units.ts";
import { formatServerName } from "./servers.ts";
import type { ServerView } from "./servers.ts";
import type { RouterView } from "./fleet.ts";

/** One look at a router: what it said, or why it said nothing. */
export type Look = { readonly view: RouterView } | { readonly error: Error };

/**
 * The lines between `before` (undefined at the start) and `now`. `heard` are lines of the event
 * feed since `before`: a server that went down and came back between two looks stands only there.
 */
export function changesBetween(
  before: Look | undefined,
  now: Look,
  heard: readonly string[],
): string[] {
  if ("error" in now) {
    const same = before !== undefined && "error" in before;
    return same && before.error.message === now.error.message ? [] : [now.error.message];
  }
  if (before === undefined) return [startLine(now.view)];
  if ("error" in before) return [`answers again: ${startLine(now.view)}`];
  return [...workerChanges(before.view, now.view), ...serverChanges(before.view, now.view, heard)];
}

function startLine({ info, servers }: RouterView): string {
  const states = servers.map((one) => `${formatServerName(one)} ${stateWords(one)}`);
  return `HAProxy ${info.version}, pid ${info.pid}: ${states.join(", ")}`;
}

function workerChanges(before: RouterView, now: RouterView): string[] {
  if (before.info.pid === now.info.pid) return [];
  return [`a new worker serves: pid ${before.info.pid} → ${now.info.pid} (reload or restart)`];
}

function serverChanges(before: RouterView, now: RouterView, heard: readonly string[]): string[] {
  const names = new Set([...before.servers, ...now.servers].map(formatServerName));
  return [...names].flatMap((name) => {
    const was = before.servers.find((one) => formatServerName(one) === name);
    const is = now.servers.find((one) => formatServerName(one) === name);
    if (was === undefined) return is === undefined ? [] : [`${name} is new: ${describe(is)}`];
    if (is === undefined) return [`${name} is gone (was ${stateWords(was)})`];
    if (stateWords(was) !== stateWords(is)) {
      return [`${name} ${stateWords(was)} → ${describe(is)}`];
    }
    return betweenLooks(name, is, heard);
  });
}

function betweenLooks(name: string, is: ServerView, heard: readonly string[]): string[] {
  const lines = heard.filter((line) => line.startsWith(`Server ${name} `));
  const opposite = is.state === "up" ? / is DOWN\b/ : / is UP\b(?!\/DRAIN)/;
  const flap = lines.find((line) => opposite.test(line));
  return flap === undefined ? [] : [`${name} ${stateWords(is)} again after: ${flap}`];
}

function describe(view: ServerView): string {
  const sessions = countInWords(view.sessions, "session");
  return `${stateWords(view)} (${view.check}; ${sessions})`;
}

/** The state in words, with where it comes from: "maint (as probe-a/p)", "up (no check)". */
export function stateWords(view: ServerView): string {
  const inherited = view.admin.some((flag) => flag.endsWith("-tracked"));
  if (inherited) return `${view.state} (as ${view.tracks ?? "its probe"})`;
  if (view.admin.some((flag) => flag === "maint-dns" || flag === "maint-fqdn")) {
    return `${view.state} (its name does not resolve)`;
  }
  return view.state === "up" && view.weight === 0 ? "up (weight 0: takes nobody new)" : view.state;
}
