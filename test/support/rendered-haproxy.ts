/** A real HAProxy that runs what is rendered from a small environment, and crowds of clients. */
import type { Environment, Router } from "../../config/schema.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { haproxyConfiguration } from "../../router/haproxy/files.ts";
import { testEnvironment } from "./environment.ts";
import type { EnvironmentWishes } from "./environment.ts";
import { visit } from "./fake-member.ts";
import type { Visit } from "./fake-member.ts";
import { haproxyPlace, startHaproxy } from "./haproxy.ts";
import type { HaproxyPlace, HaproxyProgram, RunningHaproxy } from "./haproxy.ts";

export interface RenderedPlace {
  readonly program: HaproxyProgram;
  readonly place: HaproxyPlace;
  readonly environment: Environment;
  readonly router: Router;
  readonly text: string;
}

/** Renders for `program`, in a new folder; nothing runs yet. */
export async function renderFor(
  program: HaproxyProgram,
  wishes: EnvironmentWishes,
): Promise<RenderedPlace> {
  const place = await haproxyPlace();
  return await renderAt(program, place, wishes);
}

/** Renders for `program` once more, in the folder that there is. */
export async function renderAt(
  program: HaproxyProgram,
  place: HaproxyPlace,
  wishes: EnvironmentWishes,
): Promise<RenderedPlace> {
  const environment = await testEnvironment({
    ...wishes,
    adminSocket: place.admin,
    path: place.configuration,
    router: wishes.router ?? `master: unix:${place.master}`,
    haproxy: [`program: ${program.path}`, wishes.haproxy ?? ""].join(", "),
  });
  const text = await haproxyConfiguration(environment, "app-01");
  const [router] = environment.routers;
  if (router === undefined) throw new Error("the test environment has a router");
  return { program, place, environment, router, text };
}

/** Starts it. */
export function start(rendered: RenderedPlace): Promise<RunningHaproxy> {
  return startHaproxy(rendered.program.path, rendered.place, rendered.text);
}

/** The status of a server in words (UP, DOWN, UP 1/3, MAINT …), by its column in `show stat`. */
export async function statusOf(haproxy: RunningHaproxy, name: string): Promise<string> {
  const lines = (await haproxy.askAdmin("show stat")).split("\n");
  const columns = (lines[0] ?? "").replace(/^# /, "").split(",");
  const row = lines.map((line) => line.split(",")).find((one) => `${one[0]}/${one[1]}` === name);
  return row?.[columns.indexOf("status")] ?? "missing";
}

/** Waits until a server's status is as wanted. */
export async function untilStatus(
  haproxy: RunningHaproxy,
  name: string,
  wanted: RegExp,
): Promise<void> {
  const options = { deadlineMs: 30_000, intervalMs: 20 };
  await eventually(`${name} ${wanted.source}`, options, async () =>
    wanted.test(await statusOf(haproxy, name)) ? true : undefined,
  );
}

export interface Crowd {
  /** Where each visit ended, in the order in which they began; "none" where it was refused. */
  readonly visits: readonly string[];
  /** The visits that began after one had first ended at `name`. */
  readonly after: (name: string) => readonly string[];
  /** Stops sending more and waits for those on their way. */
  readonly end: () => Promise<void>;
}

/** Sends a client every 10 ms to `host:port` until it is ended; each leaves when it is greeted. */
export function crowd(host: string, port: number): Crowd {
  const visits: string[] = [];
  const controller = new AbortController();
  const underway: Promise<void>[] = [];
  /** How many had begun when one first ended there. */
  const begunAt = new Map<string, number>();
  const one = async (index: number): Promise<void> => {
    const seen: Visit | undefined = await visit(host, port, 20_000).catch(() => undefined);
    const landed = seen?.landed ?? "late";
    visits[index] = landed;
    if (!begunAt.has(landed)) begunAt.set(landed, underway.length);
    seen?.socket.destroy();
  };
  const run = async (): Promise<void> => {
    while (!controller.signal.aborted) {
      underway.push(one(underway.length));
      await systemClock.sleep(10);
    }
  };
  const running = run();
  return {
    visits,
    after: (name) => visits.slice(begunAt.get(name) ?? visits.length),
    end: async () => {
      controller.abort();
      await running;
      await Promise.all(underway);
    },
  };
}
