/**
 * What libpq, pg, postgres.js and our client do where an address of a name is not what it should be,
 * side by side, against real servers. The table of docs/client.md is what comes out here.
 */
import { readFile } from "node:fs/promises";
import t from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { startFakeDns } from "../support/fake-dns.ts";
import { cannotHaveOwn, ownNames } from "../support/own-name-server.ts";
import { superuser } from "../support/real-postgres.ts";
import { nodeColumn } from "./side-by-side/column.ts";
import type { Column } from "./side-by-side/column.ts";
import { libpqColumn } from "./side-by-side/libpq.ts";
import { loadScenarios, rideThrough } from "./side-by-side/loads.ts";
import { addresses, refusals, startPeers, timesWritten } from "./side-by-side/peers.ts";
import { scenarios } from "./side-by-side/scenarios.ts";
import type { Names, Scenario } from "./side-by-side/scenarios.ts";
import { cellOf, tableIn, written } from "./side-by-side/words.ts";

const timeoutMs = 4000;
/** Who has not answered until then never will. */
const watchMs = 2.5 * timeoutMs;
/** The name server's own timeout is longer than that of the libraries. */
const asking = "timeout:5 attempts:1";

const ours = "switchyard-client";
/** What the page says where another library does not always do the same. */
const varies = "varies";

const table: Record<string, Record<string, string>> = Object.fromEntries(
  [...scenarios, ...loadScenarios].map(({ row }) => [row, {}]),
);
const note = (row: string, column: Column, cell: string): void => {
  (table[row] ??= {})[column.name] = cell;
};

/** The role of its own that a column has the wrong password of. */
const wrongRole = (column: string): string => `wrong ${column}`;
const rowsOf = (column: number, scenario: number): number =>
  (column + 1) * 100_000_000 + scenario * 1_000_000;

async function openAll(columns: readonly Column[], names: Names): Promise<void> {
  for (const scenario of scenarios) Object.assign(names, scenario.names);
  for (const [at, column] of columns.entries()) {
    for (const [which, { host, wrongPassword, afterFirst }] of scenarios.entries()) {
      const user = wrongPassword === true ? wrongRole(column.name) : superuser.user;
      column.open(host, { host, ...superuser, user, timeoutMs });
      if (afterFirst === undefined) continue;
      const reply = await column.write(host, rowsOf(at, which), watchMs);
      if (reply?.where === undefined) throw new Error(`${column.name}: no first write to ${host}`);
    }
  }
  for (const { afterFirst } of scenarios) Object.assign(names, afterFirst);
}

t.test("side by side", { skip: await cannotHaveOwn() }, async (t) => {
  const names: Names = {};
  const dns = await startFakeDns(addresses.nameServer, names);
  t.teardown(dns.stop);
  const own = await ownNames(t, addresses.nameServer, asking);
  const columns = [
    await libpqColumn(own),
    nodeColumn(t, own, "pg"),
    nodeColumn(t, own, "postgres.js"),
    nodeColumn(t, own, ours),
  ];
  const peers = await startPeers(
    t,
    columns.map(({ name }) => wrongRole(name)),
  );

  await t.test("one write over a new connection", async (t) => {
    await openAll(columns, names);
    const ask = async (scenario: Scenario, which: number): Promise<void> => {
      const { meanwhile } = scenario;
      const awaited = new Set(meanwhile?.after);
      const replies = columns.map(async (column, at) => {
        const reply = await column.write(scenario.host, rowsOf(at, which) + 1, watchMs);
        t.comment(`${scenario.row}: ${column.name}: ${JSON.stringify(reply)}`);
        note(scenario.row, column, cellOf(reply, timeoutMs, meanwhile !== undefined));
        for (const word of column.name === ours ? (scenario.named ?? []) : []) {
          t.match(reply?.error, word, `${scenario.row}: the error names ${word}`);
        }
        if (awaited.delete(column.name) && awaited.size === 0) meanwhile?.change(peers, names);
      });
      await Promise.all(replies);
    };
    const asked = scenarios.map((scenario, which) => ({ scenario, which }));
    const isLong = ({ scenario }: (typeof asked)[number]): boolean => scenario.isLong === true;
    // What is at once must not look slow, nor have its next address tried, for all that runs beside it.
    for (const { scenario, which } of asked)
      if (scenario.isLong !== true) await ask(scenario, which);
    await Promise.all(asked.filter(isLong).map(({ scenario, which }) => ask(scenario, which)));
    const refused = refusals(peers, wrongRole(ours));
    t.equal(refused, 1, "a wrong password is tried once");
  });

  for (const [which, scenario] of loadScenarios.entries()) {
    await t.test(scenario.row, async (t) => {
      const first = (at: number): number => rowsOf(at, scenarios.length + which);
      const loaded = columns.map((column, at) => ({ column, row: first(at) }));
      const world = { pair: peers.pair, names, timeoutMs };
      for (const ridden of await rideThrough(scenario, loaded, world)) {
        t.comment(`${ridden.column.name}: at last ${JSON.stringify(ridden.last)}`);
        note(scenario.row, ridden.column, ridden.cell);
        if (ridden.column.name !== ours) continue;
        t.ok(ridden.isQuiet, "every statement came back");
        const times = await timesWritten(peers, ridden.acknowledged);
        t.ok(
          times.length > 0 && times.every((n) => n === 1),
          "each acknowledged row is there, once",
        );
      }
    });
  }

  await t.test("docs/client.md says so", async (t) => {
    const heads = columns.map(({ name }) => name);
    for (const line of written(table, heads).split("\n")) t.comment(line);
    const page = tableIn(await readFile(inCheckout("docs/client.md"), "utf8"));
    t.strictSame(Object.keys(page), Object.keys(table), "its rows");
    for (const [row, cells] of Object.entries(table)) {
      for (const [column, cell] of Object.entries(cells)) {
        const said = page[row]?.[column];
        if (said === varies && column !== ours) continue;
        t.equal(said, cell, `${row}: ${column}`);
      }
    }
  });
});
