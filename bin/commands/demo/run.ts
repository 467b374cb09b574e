/**
 * The demo itself: a lab, an app that writes through its edge pooler, a flip there and back, the
 * textbook change of primary beside it, and after each a count of every acknowledged row, and how
 * the primary's name followed.
 */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { dockerHost } from "../../cli/docker-host.ts";
import { stateHome } from "../../cli/state-home.ts";
import { formatAddress } from "../../../kit/address.ts";
import { systemClock } from "../../../kit/clock.ts";
import { changePrimary } from "../../../lab/change-primary.ts";
import { labDown } from "../../../lab/down.ts";
import { labPlace } from "../../../lab/place.ts";
import type { LabPlace } from "../../../lab/place.ts";
import { listLabs } from "../../../lab/state.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import { labUp } from "../../../lab/up.ts";
import { verifyWorkload, Workload } from "../../../lab/workload.ts";
import { flipBySwitchyard } from "./flip.ts";
import { awaitFollowed, primaryName, seenOf, watchNames } from "./names.ts";
import { describeAct, describeAll, jsonOf, whatToTry } from "./words.ts";
import type { Act, Change } from "./words.ts";

const connections = 4;
const rate = 50;
/** How long the app writes before and after each change. */
const writingMs = 1500;

export async function run(invocation: Invocation): Promise<number> {
  const { output, flags, signal } = invocation;
  const place = await labPlace({ stateHome: stateHome(), engine: dockerHost() });
  const name = await freeName(place);
  output.note(`bringing up a cluster on this machine (lab ${name})`);
  const lab = await labUp(place, { name, names: true }, { note: output.note, signal });
  let keep = false;
  try {
    const primary = await primaryName(lab);
    const acts = await showMainJob(invocation, place, { lab, primary });
    keep = flags["keep"] === true;
    if (flags["json"] === true) output.result(JSON.stringify(jsonOf(acts)));
    else for (const line of describeAll(acts)) output.result(line);
    if (keep) for (const line of whatToTry(place, lab, primary)) output.note(line);
    return acts.every(isProven) ? exitCodes.done : exitCodes.failed;
  } finally {
    if (!keep) {
      await labDown(place, name);
      output.note(`lab ${name} is gone again`);
    }
  }
}

function isProven({ change, report, verification, names }: Act): boolean {
  const acknowledged = report.acknowledgedIds.length;
  const isWhole = verification.found === acknowledged && verification.doubled.length === 0;
  return acknowledged > 0 && isWhole && change.from !== change.to && names.followed;
}

async function freeName(place: LabPlace): Promise<string> {
  const taken = await listLabs(place);
  const names = ["demo", ...taken.map((_, index) => `demo-${index + 2}`)];
  return names.find((name) => !taken.includes(name)) ?? `demo-${taken.length + 2}`;
}

async function showMainJob(invocation: Invocation, place: LabPlace, stage: Stage): Promise<Act[]> {
  const { lab, primary } = stage;
  const { output, signal } = invocation;
  output.note(
    `an app writes through the edge pooler at ${formatAddress(lab.edge)}: ${connections} connections, each ${rate} rows/s`,
  );
  output.note(
    `${primary} is asked for all the time, at ${lab.resolvers.map(({ name }) => name).join(", ")}`,
  );
  const flip = (): Promise<Change> => flipBySwitchyard(lab.environment, output, signal);
  const textbook = async (): Promise<Change> => {
    const options = { note: output.note, signal };
    const { from, to } = await changePrimary(place, lab.environment, options);
    return { way: "textbook", from, to, report: null };
  };
  const acts: Act[] = [];
  for (const { title, move } of [
    { title: "bin/recovery flip-db", move: flip },
    { title: "bin/recovery flip-db, back again", move: flip },
    {
      title: "for comparison, the textbook: stop, promote, let the routers find out",
      move: textbook,
    },
  ]) {
    output.note(`\n${title}`);
    const act = await watched(stage, `demo_${acts.length + 1}`, move, signal);
    for (const line of describeAct(act, output.style)) output.note(line);
    acts.push(act);
  }
  return acts;
}

/** Where it plays. */
interface Stage {
  readonly lab: LabSummary;
  /** The name of its primary. */
  readonly primary: string;
}

/** Lets the app write, moves the writes meanwhile, and looks for every acknowledged row. */
async function watched(
  { lab, primary: name }: Stage,
  table: string,
  move: () => Promise<Change>,
  signal: AbortSignal,
): Promise<Act> {
  const { user, password, database } = lab;
  const login = { user, password, database };
  const workload = await Workload.start({ address: lab.edge, login, table, connections, rate });
  const watch = watchNames(lab, name);
  try {
    await systemClock.sleep(writingMs, signal);
    const change = await move();
    await systemClock.sleep(writingMs, signal);
    await awaitFollowed(lab, watch, change.to, signal);
    const report = await workload.stop();
    const names = seenOf(lab, { name, watched: await watch.stop() }, change, report);
    const primary = lab.members.find((one) => one.name === change.to);
    if (primary === undefined) throw new TypeError(`${change.to} is no member`);
    // Straight at the node, so that the answer is the new primary's and nobody else's.
    const verification = await verifyWorkload(primary.postgres, login, table, report);
    return { change, report, verification, names };
  } finally {
    await watch.stop();
    await workload.abandon();
  }
}
