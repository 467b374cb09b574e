/** Connections to a lab's Postgres, by any of its addresses; each wait has a deadline. */
import type { Client } from "pg";
import type { Address } from "../kit/address.ts";
import { openPgConnection } from "../kit/pg-connection.ts";
import type { PgConnection } from "../kit/pg-connection.ts";
import { labDatabase, labUsers } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

export interface LabLogin {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** The login of the app to its database. */
export function appLogin(secrets: LabSecrets): LabLogin {
  return { user: labUsers.app, password: secrets.app.reveal(), database: labDatabase };
}

/** The superuser's login, to database postgres when no other is given. */
export function superuserLogin(secrets: LabSecrets, database = "postgres"): LabLogin {
  return { user: labUsers.superuser, password: secrets.superuser.reveal(), database };
}

/**
 * Connects; the caller closes the connection. `deadlineMs` bounds the opening and each query.
 * @throws PgConnectionError
 */
export async function connectTo(
  address: Address,
  login: LabLogin,
  deadlineMs: number,
): Promise<PgConnection> {
  const { user, password, database } = login;
  const target = {
    title: `database ${database}`,
    ...address,
    user,
    password: () => password,
    database,
    tls: { mode: "disable" },
    queryDeadlineMs: deadlineMs,
  } as const;
  return await openPgConnection(target, { deadlineMs });
}

/** Connects, works, and ends the connection, whatever happened. */
export async function withClient<T>(
  address: Address,
  login: LabLogin,
  deadlineMs: number,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const connection = await connectTo(address, login, deadlineMs);
  try {
    return await work(connection.client);
  } finally {
    await connection.close();
  }
}
