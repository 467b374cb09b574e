/** lab up: brings a lab up and says where everything is. */
import { formatAddress } from "../../../kit/address.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { maximumAppHosts } from "../../../lab/model.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import { labUp } from "../../../lab/up.ts";
import type { UpWishes } from "../../../lab/up.ts";
import { labOf } from "./place.ts";

export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { place, name } = await labOf(invocation);
  const summary = await labUp(place, requestOf(invocation, name), { note: output.note, signal });
  if (invocation.flags["json"] === true) output.result(JSON.stringify(summary));
  else for (const line of describe(summary)) output.result(line);
  return exitCodes.done;
}

/** What stands on the command line, and nothing else: a lab that is up is compared with it. */
function requestOf({ flags }: Invocation, name: string): UpWishes {
  const hint = "see lab up --help";
  const { "app-hosts": hosts, "shared-buffers": buffers, "archive-command": archive } = flags;
  const appHosts = Number(hosts ?? 1);
  if (!Number.isInteger(appHosts) || appHosts < 1 || appHosts > maximumAppHosts) {
    const got = JSON.stringify(hosts);
    throw new UsageError(
      `--app-hosts takes a number from 1 to ${maximumAppHosts}; got ${got}`,
      hint,
    );
  }
  if (typeof buffers === "string" && !/^[1-9][0-9]{0,8}(kB|MB|GB)$/.test(buffers)) {
    const got = JSON.stringify(buffers);
    throw new UsageError(`--shared-buffers takes a size such as 256MB; got ${got}`, hint);
  }
  // A control character would end the line of postgresql.conf that the command stands on.
  if (typeof archive === "string" && /\p{Cc}/u.test(archive)) {
    throw new UsageError("--archive-command takes one line without control characters", hint);
  }
  const { pooling, driver, cluster, members, names } = flags;
  return {
    name,
    ...(cluster === "pair" || cluster === "pg_auto_failover" ? { cluster } : {}),
    ...(members === undefined ? {} : { memberCount: Number(members) }),
    ...(names === true ? { names } : {}),
    ...(driver === "process" || driver === "docker" ? { driver } : {}),
    ...(hosts === undefined ? {} : { appHosts }),
    ...(typeof buffers === "string" ? { sharedBuffers: buffers } : {}),
    ...(pooling === "session" || pooling === "transaction" ? { pooling } : {}),
    ...(typeof archive === "string" ? { archiveCommand: archive } : {}),
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
    ...(lab.monitor === null
      ? []
      : [[lab.monitor.name, `monitor ${formatAddress(lab.monitor.address)}`] as const]),
    ...(lab.registry === null
      ? []
      : [
          [
            lab.registry.name,
            `registry ${lab.registry.url}, token ${lab.registry.tokenFile}`,
          ] as const,
          [
            "resolvers",
            lab.resolvers.map((one) => `${one.name} ${formatAddress(one.dns)}`).join(", "),
          ] as const,
        ]),
    ["database", `${lab.database}, user ${lab.user} (bin/lab up --json prints the passwords)`],
  ];
  return [
    `lab ${lab.environment} is up`,
    ...rows.map(([what, where]) => `  ${what.padEnd(12)}  ${where}`),
  ];
}
