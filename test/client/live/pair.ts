/**
 * What the live tests of our Client stand on: a primary and its standby with TLS, a name for both of
 * them that lists the standby first, and a PgBouncer before the primary.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, copyFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { ClientConfig } from "../../../client/client-config.ts";
import { Client } from "../../../client/pg-client.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { startFakeDns } from "../../support/fake-dns.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

export interface Pair {
  readonly primary: RealPostgres;
  readonly standby: RealPostgres;
  /** The certificate of both, in PEM: it stands for itself, for db.test and no other name. */
  readonly certificate: string;
  /** A PgBouncer in transaction mode, which points at the primary. */
  readonly pooler: { readonly host: string; readonly port: number };
  /** Points it at another server; whoever is connected to it stays. */
  turnPooler(to: RealPostgres): Promise<void>;
  /** What asks our own name server for `db.test`: the standby's address first. */
  readonly byName: ClientConfig;
  /** A client that the test closes at its end; connected. */
  connect(t: Test, config: ClientConfig): Promise<Client>;
}

/** The roles: one with each kind of password, and one that finds no place. */
export const accounts = {
  scram: { user: "app", password: "scram-secret" },
  md5: { user: "old", password: "md5-secret" },
  full: { user: "crowded", password: "crowded-secret" },
} as const;

const soon = { deadlineMs: 20_000, intervalMs: 20 };
const hba = `
host all old 127.0.0.0/8 md5
hostssl sealed all 127.0.0.0/8 scram-sha-256
hostnossl sealed all 127.0.0.0/8 reject
host all all 127.0.0.0/8 scram-sha-256
host replication all 127.0.0.0/8 scram-sha-256
`;

async function makeCertificate(folder: string): Promise<{ key: string; certificate: string }> {
  const [key, certificate] = [join(folder, "server.key"), join(folder, "server.crt")];
  const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const what = [
    "-nodes",
    "-keyout",
    key,
    "-out",
    certificate,
    "-days",
    "1",
    "-subj",
    "/CN=db.test",
  ];
  const names = ["-addext", "subjectAltName=DNS:db.test"];
  await runChild("openssl", [...kind, ...what, ...names], { deadlineMs: 20_000 });
  return { key, certificate };
}

/** Gives a running server its key, its certificate and its rules. */
async function equip(server: RealPostgres, files: readonly string[]): Promise<void> {
  const { uid, gid } = await stat(server.data);
  for (const file of files) {
    const there = join(server.data, file.split("/").at(-1) ?? "");
    await copyFile(file, there);
    await chown(there, uid, gid);
  }
  await writeFile(join(server.data, "pg_hba.conf"), hba);
  await server.sql("ALTER SYSTEM SET ssl = on");
  await server.sql("SELECT pg_reload_conf()");
  await eventually("TLS", soon, async () => {
    const [row] = await server.sql("SHOW ssl");
    return row?.["ssl"] === "on" || undefined;
  });
}

async function makeAccounts(primary: RealPostgres): Promise<void> {
  const { scram, md5, full } = accounts;
  const client = await primary.client();
  for (const text of [
    `CREATE ROLE ${scram.user} LOGIN SUPERUSER PASSWORD '${scram.password}'`,
    "SET password_encryption = 'md5'",
    `CREATE ROLE ${md5.user} LOGIN PASSWORD '${md5.password}'`,
    "RESET password_encryption",
    `CREATE ROLE ${full.user} LOGIN CONNECTION LIMIT 0 PASSWORD '${full.password}'`,
    "CREATE DATABASE sealed",
    "CREATE TABLE kept (id int PRIMARY KEY)",
  ]) {
    await client.query(text);
  }
  await client.end();
}

/** The configuration of a PgBouncer on `listen` that points at `to`. */
function poolerLines(listen: Pair["pooler"], to: RealPostgres, folder: string): string {
  const { user, password } = superuser;
  const server = `host=${to.host} port=${to.port} user=${user} password=${password}`;
  const lines = [
    "[databases]",
    // What only the star names keeps its server until it has been idle for long.
    `postgres = ${server}`,
    `* = ${server}`,
    "[pgbouncer]",
    `listen_addr = ${listen.host}`,
    `listen_port = ${listen.port}`,
    "auth_type = scram-sha-256",
    `auth_file = ${join(folder, "users")}`,
    "pool_mode = transaction",
    "unix_socket_dir =",
  ];
  return `${lines.join("\n")}\n`;
}

async function startPooler(
  t: Test,
  primary: RealPostgres,
  folder: string,
): Promise<Pick<Pair, "pooler" | "turnPooler">> {
  const pooler = { host: primary.host, port: 6432 };
  const users = [superuser, accounts.scram].map((one) => `"${one.user}" "${one.password}"`);
  await writeFile(join(folder, "users"), `${users.join("\n")}\n`, { mode: 0o644 });
  const write = (to: RealPostgres): Promise<void> =>
    writeFile(join(folder, "pooler.ini"), poolerLines(pooler, to, folder), { mode: 0o644 });
  await write(primary);
  const passwd = await readFile("/etc/passwd", "utf8");
  const uid = Number(
    passwd
      .split("\n")
      .find((line) => line.startsWith("postgres:"))
      ?.split(":")[2],
  );
  const as = process.getuid?.() === 0 ? { uid } : {};
  const child = spawn("pgbouncer", [join(folder, "pooler.ini")], { stdio: "ignore", ...as });
  const ended = once(child, "close");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const turnPooler = async (to: RealPostgres): Promise<void> => {
    await write(to);
    child.kill("SIGHUP");
  };
  return { pooler, turnPooler };
}

const addressOf = ({ host, port }: RealPostgres): ClientConfig => ({ host, port });

async function untilLetIn(what: string, config: ClientConfig): Promise<void> {
  await eventually(what, soon, async () => {
    const probe = new Client({ ...config, database: "postgres" });
    await probe.connect();
    await probe.end();
    return true;
  });
}

/** Starts all of it on `net`.1 and `net`.2, with the name server on `net`.3; it ends with the test. */
export async function startPair(t: Test, net: string): Promise<Pair> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-client-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  const { key, certificate } = await makeCertificate(folder);
  const primary = await RealPostgres.create(t, `${net}.1`);
  await equip(primary, [key, certificate]);
  await makeAccounts(primary);
  const standby = await RealPostgres.standbyOf(t, primary, `${net}.2`);
  await writeFile(join(standby.data, "pg_hba.conf"), hba);
  await standby.sql("SELECT pg_reload_conf()");
  // By the rules before these it would want another kind of password.
  await untilLetIn("the standby's rules", { ...addressOf(standby), ...accounts.md5 });
  const dns = await startFakeDns(`${net}.3`, { "db.test": [standby.host, primary.host] });
  t.teardown(() => dns.stop());
  const { pooler, turnPooler } = await startPooler(t, primary, folder);
  await untilLetIn("the pooler", { ...pooler, ...accounts.scram });
  const byName: ClientConfig = {
    host: "db.test",
    port: primary.port,
    database: "postgres",
    dns: { servers: [`${net}.3`] },
    ...accounts.scram,
  };
  return {
    primary,
    standby,
    certificate: await readFile(certificate, "utf8"),
    pooler,
    turnPooler,
    byName,
    connect: async (test, config) => {
      const client = new Client({ ...byName, ...config });
      // A teardown that ends a server first must not end the test too.
      client.on("error", () => undefined);
      test.teardown(() => client.end());
      await client.connect();
      return client;
    },
  };
}
