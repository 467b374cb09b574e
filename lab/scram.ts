/**
 * The SCRAM secret of a lab's app user: the same text in Postgres and in every PgBouncer. Where the
 * secrets are the same, a PgBouncer passes the key of its client's login on to the server, and no
 * login computes 4096 rounds anew; after a flip all connections of an app log in at once.
 * RFC 5803; PostgreSQL manual, 53.8 "pg_authid"; PgBouncer manual, "Authentication file format".
 */
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import type { Secret } from "../config/secret.ts";

const iterations = 4096;
const saltBytes = 16;

/**
 * `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. The salt follows from the password, so that
 * every file of a lab gets the same secret without keeping it; the password is random and long.
 */
export function scramSecret(password: Secret): string {
  const text = password.reveal();
  const salt = createHmac("sha256", text).update("salt").digest().subarray(0, saltBytes);
  const salted = pbkdf2Sync(text, salt, iterations, 32, "sha256");
  const keyed = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const server = keyed("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${server}`;
}
