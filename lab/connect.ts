/** Connections to a lab's Postgres, by any of its addresses; each wait has a deadline. */
import { Client } from "pg";
import type { Address } from "../kit/address.ts";
import { withDeadline } from "../kit/clock.ts";
import { labDatabase, labUsers } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

export interface LabLogin {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** How long a goodbye may take: a peer that was frozen meanwhile never answers it. */
const goodbyeMs = 1000;

/** The login of the app to its database. */
export function appLogin(secrets: LabSecrets): LabLogin {
  return { user: labUsers.app, password: secrets.app.reveal(), database: labDatabase };
}

/** The superuser's login, to database postgres when no other is given. */
export function superuserLogin(secrets: LabSecrets, database = "postgres"): LabLogin {
  return { user: labUsers.superuser, password: secrets.superuser.reveal(), database };
}

/** Connects; the caller leaves the client. `deadlineMs` bounds the connection and each query. */
export async function connectTo(
  address: Address,
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

/** Ends a connection: politely, or by hanging up where the peer does not answer. */
export async function leave(client: Client): Promise<void> {
  await withDeadline("goodbye", goodbyeMs, () => client.end()).catch(() => undefined);
  client.connection.stream.destroy();
}

/** Connects, works, and ends the connection, whatever happened. */
export async function withClient<T>(
  address: Address,
  login: LabLogin,
  deadlineMs: number,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connectTo(address, login, deadlineMs);
  try {
    return await work(client);
  } finally {
    await leave(client);
  }
}
