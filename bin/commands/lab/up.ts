/** lab up: brings a lab up and says where everything is. */
import { formatAddress } from "../../../kit/address.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { maximumAppHosts } from "../../../lab/model.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import { labUp } from "../../../lab/up.ts";
import type { UpRequest } from "../../../lab/up.ts";
import { labOf } from "./place.ts";

export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { place, name } = await labOf(invocation);
  const summary = await labUp(place, requestOf(invocation, name), { note: output.note, signal });
  if (invocation.flags["json"] === true) output.result(JSON.stringify(summary));
  else for (const line of describe(summary)) output.result(line);
  return exitCodes.done;
}

function requestOf({ flags }: Invocation, name: string): UpRequest {
  const hint = "see lab up --help";
  const appHosts = Number(flags["app-hosts"]);
  if (!Number.isInteger(appHosts) || appHosts < 1 || appHosts > maximumAppHosts) {
    const got = JSON.stringify(flags["app-hosts"]);
    throw new UsageError(
      `--app-hosts takes a number from 1 to ${maximumAppHosts}; got ${got}`,
      hint,
    );
  }
  const sharedBuffers = String(flags["shared-buffers"]);
  if (!/^[1-9][0-9]{0,8}(kB|MB|GB)$/.test(sharedBuffers)) {
    const got = JSON.stringify(sharedBuffers);
    throw new UsageError(`--shared-buffers takes a size such as 256MB; got ${got}`, hint);
  }
  const archiveCommand = flags["archive-command"];
  // A control character would end the line of postgresql.conf that the command stands on.
  if (typeof archiveCommand === "string" && /\p{Cc}/u.test(archiveCommand)) {
    throw new UsageError("--archive-command takes one line without control characters", hint);
  }
  return {
    name,
    appHosts,
    sharedBuffers,
    pooling: flags["pooling"] === "session" ? "session" : "transaction",
    archiveCommand: typeof archiveCommand === "string" ? archiveCommand : null,
  };
}

function describe(lab: LabSummary): string[] {
  const rows: readonly (readonly [what: string, where: string])[] = [
    ["writes", formatAddress(lab.write)],
    ["reads", formatAddress(lab.read)],
    ["edge pooler", formatAddress(lab.edge)],
    ["statistics", lab.stats],
    ...lab.members.map(
      (one) =>
        [
          one.name,
          `Postgres ${formatAddress(one.postgres)}, pooler ${formatAddress(one.pooler)}, health ${one.health}`,
        ] as const,
    ),
    ["database", `${lab.database}, user ${lab.user} (bin/lab up --json prints the passwords)`],
  ];
  return [
    `lab ${lab.environment} is up`,
    ...rows.map(([what, where]) => `  ${what.padEnd(12)}  ${where}`),
  ];
}
