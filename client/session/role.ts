/**
 * The role of the server behind a session, asked by query on that very session: behind a pooler the
 * role that was reported at the start may be that of another server, or an old one.
 */
import type { ClientBase, CustomTypesConfig } from "pg";
import type { Role } from "../target/attributes.ts";
import { AttemptError } from "../errors.ts";

/** Whatever types the app has set up globally, a boolean in text stays text here. */
const asText = { getTypeParser: () => String } as unknown as CustomTypesConfig;

const question =
  "SELECT pg_catalog.pg_is_in_recovery()::text, " +
  "pg_catalog.current_setting('transaction_read_only')";

/**
 * The role that the server gives to a new session: what this one has set for itself does not count
 * (manual 54.24, "pg_settings"). One statement, and so of one server, behind a pooler too.
 */
const standingQuestion =
  "SELECT pg_catalog.pg_is_in_recovery()::text, reset_val " +
  "FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'";

/** A walsender for physical replication takes no SELECT (manual 55.4). */
const walsenderQuestions = ["SHOW in_hot_standby", "SHOW transaction_read_only"] as const;

/**
 * Asks a connected client for its role, in one round trip.
 * @param ask called before each query
 * @param physical whether the session is one of physical replication
 * @throws AttemptError where the answer is empty: during a failover a pooler may give none
 */
export async function readRole(
  client: ClientBase,
  ask: () => void,
  physical: boolean,
): Promise<Role> {
  return await answered(client, physical ? walsenderQuestions : [question], ask);
}

/**
 * Asks a connected client for the role that its server has by itself, whatever the app has set in
 * this session: to be asked outside a transaction.
 * @throws AttemptError where the answer is empty
 */
export async function readStandingRole(client: ClientBase): Promise<Role> {
  return await answered(client, [standingQuestion], () => undefined);
}

async function answered(
  client: ClientBase,
  questions: readonly string[],
  ask: () => void,
): Promise<Role> {
  const words: unknown[] = [];
  for (const text of questions) {
    ask();
    // One at a time: each has an answer of its own.
    // eslint-disable-next-line no-await-in-loop
    const { rows } = await client.query({ text, rowMode: "array", types: asText });
    words.push(...(rows[0] ?? []));
  }
  const [inRecovery, readOnly] = words.map(isOn);
  if (inRecovery === undefined || readOnly === undefined) {
    throw new AttemptError("role", "the server did not say which role it has");
  }
  return { inRecovery, readOnly };
}

const spelling: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  t: true,
  false: false,
  off: false,
  f: false,
};

function isOn(word: unknown): boolean | undefined {
  return typeof word === "string" ? spelling[word] : undefined;
}

/** What a server of this role is called. */
export function describeRole({ inRecovery, readOnly }: Role): string {
  if (inRecovery) return "a standby";
  return readOnly ? "a primary that is read-only" : "a primary";
}
