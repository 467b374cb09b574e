/**
 * Looks at a PgBouncer through its admin console, or at its port alone where no admin login is
 * declared. PgBouncer manual, "Admin console"; the columns read here are in 1.18 to 1.24.
 */
import { connect } from "node:net";
import type { Address } from "../../config/values.ts";
import type { Secret } from "../../config/secret.ts";
import { withDeadline } from "../../kit/clock.ts";
import { PgSessionError, withPgSession } from "../../kit/pg-session.ts";
import { parsePoolerFacts } from "./console-replies.ts";
import type { PoolerFacts } from "./console-replies.ts";

/** SQLSTATE protocol_violation: what the console says to a command that it does not have. */
const protocolViolation = "08P01";

export interface ConsoleLogin {
  readonly user: string;
  readonly password: Secret;
}

/**
 * What the PgBouncer at `address` says about itself; without `admin` only that its port is open
 * (`console` is false then).
 * @throws PgSessionError, DeadlineError, or the signal's reason
 */
export async function observePooler(
  address: Address,
  admin: ConsoleLogin | undefined,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<PoolerFacts> {
  if (admin === undefined) {
    await knock(address, options);
    return { console: false };
  }
  const target = {
    title: "PgBouncer",
    ...address,
    user: admin.user,
    password: () => admin.password.reveal(),
    database: "pgbouncer",
    tls: { mode: "disable" },
    applicationName: "switchyard-topology",
  } as const;
  return await withPgSession(target, options, async (ask) => {
    // The console takes one statement at a time.
    const version = await ask("SHOW VERSION");
    // PgBouncer 1.18 has no SHOW STATE: there a pause of everything at once cannot be seen.
    const state = await ask("SHOW STATE").catch((error: unknown) => {
      if (error instanceof PgSessionError && error.sqlState === protocolViolation) return [];
      throw error;
    });
    const databases = await ask("SHOW DATABASES");
    const pools = await ask("SHOW POOLS");
    return parsePoolerFacts({ version, state, databases, pools });
  });
}

async function knock(
  address: Address,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const what = `PgBouncer at ${address.host}:${address.port}`;
  await withDeadline(
    what,
    options.deadlineMs,
    async (signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const socket = connect({ ...address, signal });
      socket.on("connect", resolve);
      socket.on("error", (cause) => reject(new PgSessionError(what, cause)));
      try {
        await promise;
      } finally {
        socket.destroy();
      }
    },
    options.signal,
  );
}
