/**
 * Asks every member, side by side, whether it takes writes: what is rebuilt from what.
 */
import type { Environment } from "../../config/schema.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import { memberTarget } from "../postgres/session.ts";
import type { Candidate } from "./ends.ts";

const askDeadlineMs = 5000;

/** A primary that is read-only for now takes no writes, and is not what a standby should follow. */
const statement = `SELECT NOT pg_is_in_recovery()
  AND current_setting('default_transaction_read_only') = 'off' AS writable`;

/**
 * The members with what each answers; one that does not answer is neither writable nor not.
 * @throws the signal's reason
 */
export async function askRoles(
  environment: Environment,
  signal: AbortSignal,
): Promise<Candidate[]> {
  return await Promise.all(
    environment.members.map(async (member) => {
      const { name, manager, control } = member;
      const known = { name, manager, hasControl: control !== undefined };
      const target = await memberTarget(environment, member, "switchyard-rebuild");
      try {
        // One statement on a session of its own: a member that hangs costs its deadline and no more.
        const [row] = await withPgSession(target, { deadlineMs: askDeadlineMs, signal }, (ask) =>
          ask(statement),
        );
        return { ...known, writable: row?.["writable"] === "t" };
      } catch {
        // Refused, silent or denied: for the choice of the ends it is all the same.
        signal.throwIfAborted();
        return { ...known, writable: null };
      }
    }),
  );
}
