/**
 * Looks at a PgBouncer through its admin console, or at its port alone where no admin login is
 * declared.
 */
import type { Address } from "../../kit/address.ts";
import { knock } from "../../kit/knock.ts";
import { describeTarget } from "../../kit/pg-connection.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import { consoleTarget, showTables } from "../../kit/pooler-console.ts";
import type { ConsoleLogin } from "../../kit/pooler-console.ts";
import { factTables, parsePoolerFacts } from "./console-replies.ts";
import type { PoolerFacts } from "./console-replies.ts";

/**
 * What the PgBouncer at `address` says about itself; without `admin` only that its port is open
 * (`console` is false then). A pause of everything at once cannot be seen before 1.19.
 * @throws PgSessionError, KnockError, DeadlineError, or the signal's reason
 */
export async function observePooler(
  address: Address,
  admin: ConsoleLogin | undefined,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<PoolerFacts> {
  const title = "PgBouncer";
  if (admin === undefined) {
    await knock(address, { what: describeTarget({ title, ...address }), ...options });
    return { console: false };
  }
  const target = consoleTarget(title, address, admin, "switchyard-topology");
  return await withPgSession(target, options, async (ask) =>
    parsePoolerFacts(await showTables(ask, factTables)),
  );
}
