/**
 * What an error of a connected session says about its server: that it ends, that it takes no writes,
 * that it can't be reached any more. A table of SQLSTATEs and errnos, and nothing else.
 */

/**
 * Why a pool leaves a server: it refused a write (`read-only`), said that it ends (`shutdown`), a
 * connection to it broke (`lost`), its role is no longer the wanted one (`role`), or another server
 * was found in its place (`moved`).
 */
export type StaleReason = "read-only" | "shutdown" | "lost" | "role" | "moved";

interface ErrorRow {
  /** SQLSTATEs (PostgreSQL manual, appendix A) or errnos. */
  readonly code: RegExp;
  readonly reason: StaleReason;
}

const rows: readonly ErrorRow[] = [
  // read_only_sql_transaction
  { code: /^25006$/, reason: "read-only" },
  // admin_shutdown, crash_shutdown, cannot_connect_now
  { code: /^57P0[123]$/, reason: "shutdown" },
  // connection_exception and its kin. Not 08P01: Postgres answers it to a statement with a wrong
  // number of values too, and a pooler that means it closes the connection, which shows by itself.
  { code: /^08(000|001|003|004|006|007)$/, reason: "lost" },
  {
    code: /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EHOSTDOWN)$/,
    reason: "lost",
  },
];

/**
 * What an error of a connected session says about its server; undefined where it says nothing.
 * @param error what a statement, a connection or the server gave: anything with a `code`
 */
export function stalenessOf(error: unknown): StaleReason | undefined {
  const code = codeOf(error);
  return code === undefined ? undefined : rows.find((row) => row.code.test(code))?.reason;
}

/** The SQLSTATE or errno of an error; undefined where it has none. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
