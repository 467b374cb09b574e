/**
 * What the environment of a lab of processes says besides addresses: how the tools reach a member to
 * arm, stop and start its Postgres, and a router's sockets. All of `control` are direct commands,
 * without Node, and start what the lab itself would start: the same words, owner and output, so that
 * `bin/lab` sees one and the same part.
 */
import { join } from "node:path";
import { formatAddress } from "../../kit/address.ts";
import type { LabModel, Part } from "../model.ts";
import { partOf } from "../model.ts";
import type { LabPlace } from "../place.ts";
import type { Programs } from "../programs.ts";
import type { EnvironmentKeys } from "./driver.ts";
import { autoctlVariables, runWords } from "./autoctl-words.ts";
import { dataFolder, ownerOf, plainEnvironment, postgresWords } from "./part.ts";
import { isAutoctl } from "./process-words.ts";

interface ControlKeys {
  readonly data: string;
  readonly start: readonly string[];
  readonly programs: string;
  readonly restartPooler: readonly string[];
}

type Named = Pick<Programs, "haproxy" | "postgresFolder" | "pgbouncer" | "autoctl">;

/** The keys that come from this machine's folders and programs. */
export function processKeys(model: LabModel, place: LabPlace, programs: Named): EnvironmentKeys {
  return {
    whole: { haproxy: { program: programs.haproxy } },
    member: (name) => ({ control: controlKeys(model, place, programs, name) }),
    edgePooler: () => ({}),
    router: (name) => {
      const app = model.apps.find((one) => one.router === name);
      if (app === undefined) throw new TypeError(`the lab has no router ${name}`);
      const { folder } = partOf(model, app.name, "router");
      const { write, read, stats } = app;
      return {
        listen: {
          write: formatAddress(write),
          read: formatAddress(read),
          stats: formatAddress(stats),
        },
        runtime: `unix:${folder}/admin.sock`,
        master: `unix:${folder}/master.sock`,
        adminSocket: `${folder}/admin.sock`,
        configuration: { path: `${folder}/haproxy.cfg` },
      };
    },
  };
}

function controlKeys(
  model: LabModel,
  place: LabPlace,
  programs: Named,
  member: string,
): ControlKeys {
  const postgres = partOf(model, member, "postgres");
  return {
    data: dataFolder(postgres),
    start: isAutoctl(model, postgres)
      ? startKeeper(place, postgres, programs)
      : startPostgres(place, postgres, programs),
    programs: programs.postgresFolder,
    restartPooler: restartPooler(place, partOf(model, member, "pooler"), programs.pgbouncer),
  };
}

function startPostgres(place: LabPlace, part: Part, programs: Named): string[] {
  const [, , ...settings] = postgresWords(part);
  return [
    ...ownerWords(place, part),
    ...[join(programs.postgresFolder, "pg_ctl"), "start", "--no-wait", "--silent"],
    ...["--pgdata", dataFolder(part), "--log", join(part.folder, "output.log")],
    ...["--options", settings.join(" ")],
  ];
}

const inBackground = 'cd "$1" && shift && setsid "$@" </dev/null >>output.log 2>&1 &';

/** What starts the Postgres of a managed member is its keeper. */
function startKeeper(place: LabPlace, part: Part, { autoctl }: Named): string[] {
  const variables = Object.entries({ ...plainEnvironment, ...autoctlVariables(part) });
  return [
    ...ownerWords(place, part),
    ...["env", "-i", ...variables.map(([name, value]) => `${name}=${value}`)],
    ...["sh", "-c", inBackground, "sh", part.folder, autoctl ?? "pg_autoctl", ...runWords(part)],
  ];
}

function ownerWords(place: LabPlace, part: Part): string[] {
  const owner = ownerOf(place, part);
  return owner === undefined
    ? []
    : ["setpriv", `--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups", "--"];
}

/**
 * PgBouncer 1.23 and newer waits for its clients until it is told a second time, so it is told
 * until it is gone; a pid that is another program's by now is left alone.
 */
const endThenBecome = [
  'cd "$1" || exit 1',
  "pid=$(cat pgbouncer.pid 2>/dev/null)",
  "i=0",
  'while [ -n "$pid" ] && [ "$(cat /proc/$pid/comm 2>/dev/null)" = pgbouncer ]; do kill $pid; i=$((i+1)); [ $i -gt 200 ] && exit 1; sleep 0.05; done',
  "rm -f pgbouncer.pid",
  "shift",
  'exec "$@" </dev/null >>output.log 2>&1',
].join("; ");

function restartPooler(place: LabPlace, part: Part, program: string): string[] {
  const command = [...ownerWords(place, part), program, "-d", join(part.folder, "pgbouncer.ini")];
  return ["sh", "-c", endThenBecome, "sh", part.folder, ...command];
}
