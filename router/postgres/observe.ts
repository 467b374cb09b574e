/** Looks at one member's Postgres: one connection, one statement, one deadline. */
import type { Login, Member } from "../../config/schema.ts";
import { PgSessionError, withPgSession } from "../../kit/pg-session.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { PostgresFacts } from "./facts.ts";
import { memberTarget } from "./session.ts";
import { observeStatement, observeStatementUnprivileged, parseFacts } from "./sql.ts";

/** SQLSTATE insufficient_privilege. */
const privilegeMissing = "42501";
/** SQLSTATE object_not_in_prerequisite_state: the role changed while the statement ran. */
const roleChanged = "55000";

/**
 * What the Postgres of `member` says about itself.
 * @throws PgSessionError, DeadlineError, or the signal's reason
 */
export async function observePostgres(
  member: Member,
  login: Login,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<PostgresFacts> {
  const target = await memberTarget({ login }, member, "switchyard-topology", {
    title: "Postgres",
    database: login.database,
    values: "parsed",
  });
  return await withPgSession(target, options, askFacts);
}

async function askFacts(ask: AskPostgres): Promise<PostgresFacts> {
  const first = await attempt(ask, observeStatement);
  if (!(first instanceof PgSessionError)) return first;
  const next =
    first.sqlState === privilegeMissing ? observeStatementUnprivileged : observeStatement;
  const second = await attempt(ask, next);
  if (second instanceof PgSessionError) throw second;
  return second;
}

async function attempt(
  ask: AskPostgres,
  statement: string,
): Promise<PostgresFacts | PgSessionError> {
  try {
    const [row] = await ask(statement);
    return parseFacts(row ?? {});
  } catch (error) {
    const again =
      error instanceof PgSessionError &&
      [privilegeMissing, roleChanged].includes(error.sqlState ?? "");
    if (!again) throw error;
    return error;
  }
}
