/**
 * A primary and a standby in two containers of our image, as an environment whose members are
 * controlled through the engine. They stand in a network of the test, and this machine reaches them
 * by their addresses there. The data directory is a folder in a volume, so that a rebuild may
 * rename it.
 */
import { randomUUID } from "node:crypto";
import type { Test } from "tap";
import { imageUsers, postgresPaths } from "../../config/kamal-words.ts";
import { parseEnvironment } from "../../config/load.ts";
import type { EngineHost, Environment } from "../../config/schema.ts";
import { eventually } from "../../kit/clock.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import { memberTarget } from "../../router/postgres/session.ts";
import { testContainers } from "./containers.ts";

const soon = { deadlineMs: 45_000, intervalMs: 100 };
const { data } = postgresPaths;
const secrets = "/run/switchyard";
const postgresId = imageUsers.postgres;

export interface DockerPair {
  readonly engine: DockerEngine;
  readonly environment: Environment;
  /** The container of a member. */
  readonly containerOf: (member: string) => string;
  /** Asks a member's Postgres over a session of its own. */
  readonly ask: <T>(member: string, work: (ask: AskPostgres) => Promise<T>) => Promise<T>;
  /** Waits until the member streams from the other one. */
  readonly streams: (member: string) => Promise<void>;
  /** The same environment with its engine elsewhere. */
  readonly through: (host: Partial<EngineHost>) => Environment;
}

interface Keys {
  readonly password: string;
  readonly addresses: Readonly<Record<string, string>>;
  readonly containers: Readonly<Record<string, string>>;
}

/** Starts the pair dal-01, the primary, and chi-02; `t` takes it away. */
export async function startDockerPair(t: Test, engine: DockerEngine): Promise<DockerPair> {
  const yard = await testContainers(t, engine);
  const password = randomUUID();
  const ours = { mode: 0o400, uid: postgresId, gid: postgresId };
  const common = { of: "postgres", restart: "unless-stopped" } as const;
  const containers: Record<string, string> = {};
  const addresses: Record<string, string> = {};
  const run = async (member: string, word: string, env: Record<string, string>, file: string) => {
    const container = await yard.run(member, {
      ...common,
      command: [word, "-c", "wal_keep_size=256MB"],
      env,
      volumes: { [`data-${member}`]: postgresPaths.mount, [`keys-${member}`]: secrets },
      files: { [secrets]: [{ path: "secret", content: file, ...ours }] },
    });
    const facts = await engine.inspect(container);
    containers[member] = container;
    addresses[member] = facts?.networks[0]?.address ?? "";
  };
  await run("dal-01", "primary", { POSTGRES_PASSWORD_FILE: `${secrets}/secret` }, password);
  const source = "host=dal-01 user=postgres application_name=chi-02";
  const follow = { PRIMARY_CONNINFO: source, PRIMARY_PASSFILE: `${secrets}/secret` };
  await run("chi-02", "standby", follow, `*:*:*:*:${password}\n`);
  const keys = { password, addresses, containers };
  const environment = await environmentOf(keys);
  const ask: DockerPair["ask"] = async (member, work) => {
    const found = environment.members.find(({ name }) => name === member);
    if (found === undefined) throw new TypeError(`the pair has no ${member}`);
    const target = await memberTarget(environment, found, "test");
    return await withPgSession(target, { deadlineMs: 5000 }, work);
  };
  return {
    engine,
    environment,
    containerOf: (member) => containers[member] ?? "",
    ask,
    streams: async (member) => {
      const sql = "SELECT 1 AS one FROM pg_stat_wal_receiver WHERE status = 'streaming'";
      await eventually(`${member} streams`, soon, async () =>
        (await ask(member, (put) => put(sql))).length === 1 ? true : undefined,
      );
    },
    through: (host) => ({
      ...environment,
      hosts: environment.hosts.map((one) => ({ ...one, ...host })),
    }),
  };
}

async function environmentOf({ password, addresses, containers }: Keys): Promise<Environment> {
  const member = (ordinal: number, name: string): string => `
  - name: ${name}
    ordinal: ${ordinal}
    host: here
    postgres: ${addresses[name]}:5432
    pooler: { address: "${addresses[name]}:6432" }
    health: http://${addresses[name]}:8008
    control: { container: ${containers[name]}, data: ${data} }`;
  const text = `
cluster: pair
login: { user: postgres, password: "\${PASSWORD}" }
hosts: [{ name: here, engine: "${process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock"}" }]
members:${member(0, "dal-01")}${member(1, "chi-02")}
`;
  const variables = { PASSWORD: password };
  return await parseEnvironment(text, { name: "pair", file: "config/pair.yml", variables });
}
