/**
 * The test run: the checks and the unit tests first, then the tests on real programs, and last, one
 * after the other, those on containers: they share one engine with all of its networks. Each file
 * is run by Node itself, as `node test/x.test.ts`: tap's runner loads a compiler into every file,
 * which costs a second of processor time and gives nothing where Node runs TypeScript by itself.
 */
import { exitCodes } from "../cli/exit-codes.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { UsageError } from "../cli/command.ts";
import type { Flag, Invocation } from "../cli/command.ts";
import { skippedFile, whyNoDocker } from "./docker.ts";
import { printCount, printFile } from "./report.ts";
import type { FileReport } from "./report.ts";
import { runJob } from "./run-file.ts";
import type { Ended, Job } from "./run-file.ts";
import { select } from "./select.ts";
import type { Kind, Selection } from "./select.ts";
import { readVerdict } from "./verdict.ts";

/**
 * Seconds a file may take before it is a failure with its name: three times what the slowest of its
 * kind takes on a quiet machine.
 */
const fileSeconds: Readonly<Record<Kind, number>> = { unit: 60, live: 300, docker: 300 };
const fullFactor = 5;
const jobsDefault = 2;

/** Checks that count as tests: their name and Node's words for them. */
const checks: Readonly<Record<string, readonly string[]>> = {
  types: ["node_modules/typescript/bin/tsc"],
  lint: ["node_modules/oxlint/bin/oxlint", "--type-aware"],
  format: ["node_modules/oxfmt/bin/oxfmt", "--check"],
};
const checkDeadlineMs = 300_000;

type Runner = (job: Job) => Promise<FileReport>;

/** Runs what the command line asks for; resolves with 0 when all passed and 1 otherwise. */
export async function run(invocation: Invocation): Promise<number> {
  const root = inCheckout(".");
  const jobs = jobsOf(invocation.flags["jobs"]);
  const selection = select(invocation.arguments, root, process.cwd());
  const { output, signal } = invocation;
  const reports: FileReport[] = [];
  const print = (report: FileReport): void => {
    reports.push(report);
    printFile(report, output);
  };
  const file: Runner = (job) => runTestFile(job, root, signal);
  const check: Runner = (job) => runCheck(job, root, signal);
  const first = [
    ...(selection.checks ? checkJobs().map((job) => ({ job, runner: check })) : []),
    ...fileJobs(selection, "unit").map((job) => ({ job, runner: file })),
  ];
  const second = fileJobs(selection, "live").map((job) => ({ job, runner: file }));
  for (const phase of [first, second]) await inLanes(jobs, phase, print);
  const third = fileJobs(selection, "docker");
  const why = third.length === 0 ? undefined : await whyNoDocker(output, signal);
  for (const job of third) print(why === undefined ? await file(job) : skippedFile(job.name, why));
  return printCount(reports, output) ? exitCodes.done : exitCodes.failed;
}

function jobsOf(flag: Flag): number {
  if (flag === undefined) return jobsDefault;
  const jobs = Number(flag);
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= 64) return jobs;
  throw new UsageError(
    `--jobs takes a number from 1 to 64; got ${String(flag)}`,
    "see test --help",
  );
}

function fileJobs(selection: Selection, kind: Kind): readonly Job[] {
  const seconds = fileSeconds[kind] * (selection.full ? fullFactor : 1);
  return selection.files[kind].map((name) => ({
    name,
    words: [name],
    deadlineMs: seconds * 1000,
    environment: {
      // tap's own limit for a file is 30 s; ours stands above it and names the file.
      TAP_TIMEOUT: String(seconds),
      ...(selection.full ? { SWITCHYARD_TEST_FULL: "1" } : {}),
    },
  }));
}

function checkJobs(): readonly Job[] {
  return Object.entries(checks).map(([name, words]) => ({
    name: `check/${name}`,
    words,
    deadlineMs: checkDeadlineMs,
    environment: {},
  }));
}

async function inLanes(
  lanes: number,
  work: readonly { job: Job; runner: Runner }[],
  print: (report: FileReport) => void,
): Promise<void> {
  const queue = work.values();
  const lane = async (): Promise<void> => {
    for (const { job, runner } of queue) print(await runner(job));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

async function runTestFile(job: Job, root: string, signal: AbortSignal): Promise<FileReport> {
  const verdict = readVerdict(job.name);
  const onOutput = (text: string): void => verdict.write(text);
  const ended = await runJob(job, root, onOutput, signal);
  return reportOf(job, ended, verdict.end(ended));
}

async function runCheck(job: Job, root: string, signal: AbortSignal): Promise<FileReport> {
  let said = "";
  const ended = await runJob(job, root, (text) => (said += text), signal);
  const failed = ended.trouble !== undefined || ended.code !== 0;
  const reasons = [ended.trouble ?? `ended with exit code ${ended.code}`, ...said.split("\n")];
  const outcome = failed ? "failed" : "passed";
  const path = [job.name];
  return reportOf(job, ended, [{ path, outcome, reasons: failed ? reasons.slice(0, 200) : [] }]);
}

function reportOf(job: Job, ended: Ended, tests: FileReport["tests"]): FileReport {
  return { name: job.name, tests, tookMs: ended.tookMs, stderr: ended.stderr };
}
