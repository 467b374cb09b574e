/**
 * The term of the lead: a number in the database that whoever takes the lead raises. A holder that was
 * frozen, or that has lost its session without noticing, meets a newer term in the very transaction in
 * which it would write what it saw long ago.
 */
import type { Database, Writing } from "./database.ts";
import { LeadLostError } from "./store.ts";

/**
 * Raises the term; its row has the new one in the column `term`. One statement, so that a session that
 * holds the lead's lock raises it or has lost the lock.
 */
export const raiseTerm = "UPDATE registry_lead SET term = term + 1 WHERE id = 1 RETURNING term";

/** The new term in the rows of raiseTerm. */
export function raisedTerm(rows: readonly { readonly term?: unknown }[]): number {
  const term = Number(rows[0]?.term);
  if (Number.isSafeInteger(term)) return term;
  throw new Error("the row of the lead's term is gone");
}

/** Takes the next term in a transaction of its own. @throws StoreError */
export function takeTerm(database: Database): Promise<number> {
  return database.write("take the lead", async (statements) =>
    raisedTerm(await statements.run<{ term: number }>(raiseTerm)),
  );
}

/**
 * Lets a transaction go on only under the newest term, which stays the newest until it ends; without a
 * term nothing is asked.
 * @throws LeadLostError
 */
export async function refuseOldTerm(
  { dialect, title }: Database,
  statements: Writing,
  term: number | undefined,
): Promise<void> {
  if (term === undefined) return;
  const [row] = await statements.run<{ term: number }>(
    `SELECT term FROM registry_lead WHERE id = 1 ${dialect.forShare}`,
  );
  if (row?.term !== term) throw new LeadLostError(title, term, row?.term);
}
