/** Connections to a lab's Postgres, by any of its addresses; each wait has a deadline. */
import { Client } from "pg";
import type { Endpoint } from "./model.ts";
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

/** Connects; the caller ends the client. `deadlineMs` bounds the connection and each query. */
export async function connectTo(
  address: Endpoint,
  login: LabLogin,
  deadlineMs: number,
): Promise<Client> {
  const client = new Client({
    ...login,
    ...address,
    connectionTimeoutMillis: deadlineMs,
    query_timeout: deadlineMs,
  });
  // A connection that is lost while idle shows itself in the next query.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Connects, works, and ends the connection, whatever happened. */
export async function withClient<T>(
  address: Endpoint,
  login: LabLogin,
  deadlineMs: number,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connectTo(address, login, deadlineMs);
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
