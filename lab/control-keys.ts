/**
 * How the tools reach a member of a lab to arm, stop and start its Postgres: the `control` keys of
 * its environment. All are direct commands, without Node, and start what the lab itself would
 * start: the same words, owner and output, so that `bin/lab` sees one and the same part.
 */
import { join } from "node:path";
import { dataFolder, ownerOf, postgresWords } from "./driver/part.ts";
import type { LabModel, Part } from "./model.ts";
import { partOf } from "./model.ts";
import type { LabPlace } from "./place.ts";
import type { Programs } from "./programs.ts";

export interface ControlKeys {
  readonly data: string;
  readonly start: readonly string[];
  readonly programs: string;
  readonly restartPooler: readonly string[];
}

/** The `control` keys of one member. */
export function controlKeys(
  model: LabModel,
  place: LabPlace,
  programs: Pick<Programs, "postgresFolder" | "pgbouncer">,
  member: string,
): ControlKeys {
  const postgres = partOf(model, member, "postgres");
  const [, , ...settings] = postgresWords(postgres);
  const data = dataFolder(postgres);
  return {
    data,
    start: [
      ...ownerWords(place, postgres),
      ...[join(programs.postgresFolder, "pg_ctl"), "start", "--no-wait", "--silent"],
      ...["--pgdata", data, "--log", join(postgres.folder, "output.log")],
      ...["--options", settings.join(" ")],
    ],
    programs: programs.postgresFolder,
    restartPooler: restartPooler(place, partOf(model, member, "pooler"), programs.pgbouncer),
  };
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
