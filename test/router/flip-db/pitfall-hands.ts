/** What the pitfalls' tests have in their hands: a lab, an app that writes, and bin/recovery as a process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { UpRequest } from "../../../lab/up.ts";
import { labApp } from "../../support/flip-run.ts";
import type { LabApp } from "../../support/flip-run.ts";
import { makePatient, withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";
import { startRecovery } from "../../support/recovery-process.ts";
import type { RecoveryProcess } from "../../support/recovery-process.ts";

export const soon = { deadlineMs: 30_000, intervalMs: 50 };

export type Row = Record<string, unknown>;

export interface Hands {
  readonly lab: TestLab;
  /** Where its commands keep their operations. */
  readonly stateHome: string;
  /** Starts `bin/recovery LAB …`; all of one test share a state home. */
  recovery(...words: string[]): RecoveryProcess;
  /** Runs it to its end, which has to be `code`. */
  ended(t: Test, code: number, ...words: string[]): Promise<RecoveryProcess>;
  /** One statement as the superuser on a member, over a connection of its own. */
  sql(member: string, text: string, database?: string): Promise<Row[]>;
  /** ALTER SYSTEM and a reload. */
  set(member: string, values: Readonly<Record<string, string>>): Promise<void>;
  /** The same with RESET. */
  reset(member: string, ...names: string[]): Promise<void>;
  /** The member that takes writes, as Postgres says it. */
  primary(): Promise<string>;
  /** Waits until topology finds nothing. */
  healthy(): Promise<void>;
  /** An app behind the first edge pooler, which has written some rows already. */
  app(t: Test): Promise<LabApp>;
}

export const other = (member: string): string => (member === "dal-01" ? "chi-02" : "dal-01");

/** The folder of a member's data directory, and of what lies beside it. */
export const folderOf = ({ lab }: Hands, member: string): string =>
  lab.part(`${member}/postgres`).folder;

/** A lab of its own, and the hands. */
export async function handsOn(
  t: Test,
  options: Partial<Omit<UpRequest, "name">> = {},
): Promise<Hands> {
  const lab = await withLab(t, options);
  // In the middle of a hold a test does what it has to do before the last transaction ends.
  await makePatient(lab, "flip:\n  holdDeadline: 20s\n");
  const stateHome = await mkdtemp(join(tmpdir(), "switchyard-pitfalls-"));
  t.teardown(() => rm(stateHome, { recursive: true, force: true }));
  const recovery = (...words: string[]): RecoveryProcess =>
    startRecovery(t, [lab.name, ...words], { stateHome });
  const sql: Hands["sql"] = async (member, text, database = "postgres") => {
    const address = lab.json.members.find((one) => one.name === member)?.postgres;
    if (address === undefined) throw new TypeError(`the lab has no ${member}`);
    const client = await lab.connect(address, { as: "superuser", database });
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  };
  const alter = async (member: string, words: readonly string[]): Promise<void> => {
    for (const one of words) await sql(member, `ALTER SYSTEM ${one}`);
    await sql(member, "SELECT pg_reload_conf()");
  };
  return {
    lab,
    stateHome,
    recovery,
    sql,
    ended: async (t, code, ...words) => {
      const run = recovery(...words);
      const found = await run.end();
      t.equal(found, code, words.join(" "), { said: `${run.notes()}${run.out()}` });
      return run;
    },
    set: (member, values) =>
      alter(
        member,
        Object.entries(values).map(([name, value]) => `SET ${name} = ${value}`),
      ),
    reset: (member, ...names) =>
      alter(
        member,
        names.map((name) => `RESET ${name}`),
      ),
    primary: async () => {
      for (const { name } of lab.json.members) {
        const [row] = await sql(name, "SELECT pg_is_in_recovery() AS standby");
        if (row?.["standby"] === false) return name;
      }
      throw new Error("no member takes writes");
    },
    healthy: async () => {
      let last = "";
      await eventually("a healthy topology", { ...soon, intervalMs: 300 }, async () => {
        const topology = recovery("topology");
        const code = await topology.end();
        last = topology.out();
        return code === 0 ? true : undefined;
      }).catch((cause: unknown) => {
        throw new Error(last, { cause });
      });
    },
    app: async (t) => {
      const app = await labApp(t, lab, lab.json.edge, 4);
      await app.progress(30);
      return app;
    },
  };
}

/** Ends the app: all that it was told is there, on every member, and nothing twice. */
export async function provesLossless(t: Test, app: LabApp): Promise<void> {
  const { report, found } = await app.end();
  for (const one of found) {
    t.equal(one.found, report.acknowledgedIds.length, "every acknowledged row is there");
    t.strictSame(one.missing, []);
    t.strictSame(one.doubled, [], "none is there twice");
  }
}

/** The same, and no client has noticed more than a pause. */
export async function provesUnharmed(t: Test, app: LabApp): Promise<void> {
  const { failedIds, failedConnects } = app.workload.report();
  t.strictSame(failedIds, [], "no statement failed");
  t.equal(failedConnects, 0, "no connection was refused");
  await provesLossless(t, app);
}
