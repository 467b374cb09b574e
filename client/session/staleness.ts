/**
 * What an error says about the server that it came from: that it takes no writes, that it ends, that
 * the connection to it broke. A statement may fail of another server (postgres_fdw and dblink hand on
 * what that one said, SQLSTATE and all): only what ends the session counts, but for refused writes.
 */

/**
 * Why a pool leaves a server: it refused a write (`read-only`), said that it ends (`shutdown`), a
 * connection to it broke (`lost`), its role is no longer the wanted one (`role`), or another server
 * was found in its place (`moved`).
 */
export type StaleReason = "read-only" | "shutdown" | "lost" | "role" | "moved";

/** What an error says: `session` that this one session has ended, and nothing of its server. */
export type ErrorMeaning = "read-only" | "shutdown" | "lost" | "session";

interface ErrorRow {
  /** SQLSTATEs (PostgreSQL manual, appendix A). */
  readonly code: RegExp;
  /** It counts only where the session ends with it. */
  readonly mustEnd: boolean;
  readonly meaning: ErrorMeaning;
}

const rows: readonly ErrorRow[] = [
  // read_only_sql_transaction
  { code: /^25006$/, mustEnd: false, meaning: "read-only" },
  // admin_shutdown, crash_shutdown, cannot_connect_now
  { code: /^57P0[123]$/, mustEnd: true, meaning: "shutdown" },
  // idle_session_timeout, idle_in_transaction_session_timeout, transaction_timeout
  { code: /^(57P05|25P03|25P04)$/, mustEnd: true, meaning: "session" },
];

/** What ends a session. A server that speaks another language has other words, and ends it as well. */
const endings: ReadonlySet<unknown> = new Set(["FATAL", "PANIC"]);

/**
 * What an error of a connected session says about its server; undefined where it says nothing.
 * @param error what a statement, a connection or the server gave: anything with a `code`
 * @param isLost whether the connection broke with it
 */
export function meaningOf(error: unknown, isLost: boolean): ErrorMeaning | undefined {
  const code = codeOf(error) ?? "";
  const hasEnded = isLost || endings.has(severityOf(error));
  const row = rows.find((one) => one.code.test(code) && (hasEnded || !one.mustEnd));
  return row?.meaning ?? (isLost ? "lost" : undefined);
}

/** The SQLSTATE or errno of an error; undefined where it has none. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

function severityOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "severity" in error
    ? error.severity
    : undefined;
}
