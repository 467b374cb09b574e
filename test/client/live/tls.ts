/** TLS as pg means it, against the name though we dial addresses. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import type { Test } from "tap";
import type { ClientConfig } from "../../../client/client-config.ts";
import { Client } from "../../../client/pg-client.ts";
import { runChild } from "../../../kit/child.ts";
import { greeting } from "../../support/fake-postgres.ts";
import { accounts } from "./pair.ts";
import type { Pair } from "./pair.ts";
import { refusedSoon } from "./sessions.ts";

/** Which certificates pass, and what is inside TLS. */
export async function tls(t: Test, pair: Pair): Promise<void> {
  const ca = pair.certificate;
  const sealed: ClientConfig = {
    database: "sealed",
    targetSessionAttrs: "read-write",
  };
  const client = await pair.connect(t, { ...sealed, ssl: { ca } });
  t.equal(client.address?.address, pair.primary.host, "verified by name, dialled by address");
  const inside = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  t.match((await client.query(inside)).rows, [{ ssl: true }]);
  t.match(client.connection.stream, { encrypted: true, authorized: true });

  const bound = await pair.connect(t, {
    ...sealed,
    ssl: { ca },
    enableChannelBinding: true,
    keepAlive: true,
  });
  t.match((await bound.query(inside)).rows, [{ ssl: true }], "SCRAM with channel binding");

  const failing = [
    { name: "an address is not the name", config: { host: pair.primary.host, ssl: { ca } } },
    { name: "nobody vouches for it", config: { ssl: true } },
  ];
  for (const { name, config } of failing) {
    const error = await refusedSoon({ ...pair.byName, ...sealed, ...config });
    t.match(error.attempts, [{ reason: "tls" }], name);
  }
  const bare = new Client({ ...pair.byName, ...sealed, ssl: false });
  await t.rejects(bare.connect(), { code: "28000" }, "a server that wants TLS");
  const anyone = await pair.connect(t, { ...sealed, ssl: { rejectUnauthorized: false } });
  t.match((await anyone.query(inside)).rows, [{ ssl: true }]);
}

/** sslmode in a connection string; the file of the authority is read by pg. */
export async function tlsByString(t: Test, pair: Pair): Promise<void> {
  const { user, password } = accounts.scram;
  const file = `${pair.primary.data}/server.crt`;
  const base = `postgresql://${user}:${password}@db.test:${pair.primary.port}/sealed`;
  const rows = [
    { words: `sslmode=verify-full&sslrootcert=${file}`, want: "connects" },
    { words: "sslmode=no-verify", want: "connects" },
    { words: "sslmode=verify-full", want: "tls" },
    { words: "sslmode=disable", want: "authentication" },
  ];
  for (const { words, want } of rows) {
    const given = {
      connectionString: `${base}?${words}&target_session_attrs=read-write`,
      dns: pair.byName.dns,
    };
    if (want === "connects") {
      const client = new Client(given);
      await t.resolves(client.connect(), words);
      await client.end();
    } else {
      t.equal((await refusedSoon(given)).attempts[0]?.reason, want, words);
    }
  }
}

/** TLS from the first byte, as PostgreSQL 17 takes it; the servers here are older, so it is our own. */
export async function direct(t: Test, pair: Pair): Promise<void> {
  const key = await readFile(join(pair.primary.data, "server.key"), "utf8");
  const options = { key, cert: pair.certificate, ALPNProtocols: ["postgresql"] };
  const names: unknown[] = [];
  const server = createServer(options, (socket) => {
    names.push(socket.servername, socket.alpnProtocol);
    socket.once("data", () => socket.write(greeting));
    socket.on("error", () => undefined);
  });
  server.listen(0, pair.primary.host);
  await once(server, "listening");
  t.teardown(() => server.close());
  const client = await pair.connect(t, {
    port: (server.address() as AddressInfo).port,
    hostaddr: pair.primary.host,
    sslnegotiation: "direct",
    ssl: { ca: pair.certificate },
  });
  t.same(names, ["db.test", "postgresql"]);
  t.match(client.connection.stream, { encrypted: true, authorized: true });
}

/** Whether Node ends by itself: an idle client that is not to be waited for holds nothing. */
export async function lettingGo(t: Test, pair: Pair): Promise<void> {
  const program = `
    import { Client } from ${JSON.stringify(new URL("../../../client/pg-client.ts", import.meta.url).href)};
    const keep = setInterval(() => undefined, 1000);
    const client = new Client(JSON.parse(process.env.CONFIG));
    if (process.env.WHEN === "before") client.unref();
    const connected = client.connect();
    if (process.env.WHEN === "during") client.unref();
    await connected;
    await client.query("SELECT 1");
    if (process.env.WHEN === "after") client.unref();
    clearInterval(keep);
    console.log("done");
  `;
  const rows = [
    { when: "before", ssl: false },
    { when: "during", ssl: { rejectUnauthorized: false } },
    { when: "after", ssl: false },
    { when: "after", ssl: { rejectUnauthorized: false } },
  ];
  for (const { when, ssl } of rows) {
    const config = JSON.stringify({ ...pair.byName, targetSessionAttrs: "read-write", ssl });
    const { stdout } = await runChild(
      process.execPath,
      ["--input-type=module", "--eval", program],
      { deadlineMs: 20_000, env: { CONFIG: config, WHEN: when } },
    );
    t.equal(stdout.trim(), "done", `unref ${when}, ${ssl === false ? "plain" : "TLS"}`);
  }
}
