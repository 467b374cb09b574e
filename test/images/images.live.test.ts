/**
 * Our images on a real engine: bin/setup --docker makes them and makes them once, and each runs as
 * its own user with its process as PID 1, answers, notices when it hangs, ends when asked to, and
 * tells no secret.
 */
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { engineHere, testContainers, timeOf } from "../support/containers.ts";
import type { TestContainer, TestContainers } from "../support/containers.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const secret = "a-secret-that-nobody-may-read";
const soon = { deadlineMs: 60_000, intervalMs: 100 };

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;

async function setup(words: readonly string[], dockerHost?: string): Promise<ChildResult> {
  const { PATH = "", HOME = root, DOCKER_HOST = "" } = process.env;
  const host = dockerHost ?? DOCKER_HOST;
  return await runChild(`${root}bin/setup`, words, {
    deadlineMs: 150_000,
    accept: [0, 69],
    env: { PATH, HOME, ...(host === "" ? {} : { DOCKER_HOST: host }) },
  });
}

interface Row {
  readonly name: string;
  readonly container: TestContainer;
  readonly uid: number;
  /** Its PID 1. */
  readonly process: RegExp;
  /** The program of its health check. */
  readonly health: readonly string[];
  /** A question that only what the image is for can answer, and the answer. */
  readonly ask: readonly string[];
  readonly answer: RegExp;
  /** The exit code after SIGINT; 0 when not given. */
  readonly interrupted?: number;
}

const secretFile = (uid: number) => [{ path: "secret", content: secret, mode: 0o400, uid }];
const http = (port: number, path: string): string[] => [
  "bash",
  "-c",
  `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`,
];

const rows: readonly Row[] = [
  {
    name: "postgres",
    container: {
      of: "postgres",
      env: { POSTGRES_PASSWORD_FILE: "/etc/secrets/secret", POSTGRES_DB: "app" },
      volumes: { data: "/var/lib/postgresql", secrets: "/etc/secrets" },
      files: { "/etc/secrets": secretFile(999) },
    },
    uid: 999,
    process: /^postgres $/,
    health: ["pg_isready", "-q", "-t", "2"],
    ask: ["psql", "-XAtd", "app", "-c", "select pg_is_in_recovery()"],
    answer: /^f$/,
  },
  {
    name: "pgbouncer",
    container: {
      of: "pgbouncer",
      files: {
        "/etc/pgbouncer": [
          {
            path: "pgbouncer.ini",
            content:
              "[databases]\n* = host=127.0.0.1\n[pgbouncer]\nlisten_addr = *\nlisten_port = 6432\n" +
              "auth_type = any\nunix_socket_dir = /run/pgbouncer\n" +
              "pidfile = /run/pgbouncer/pgbouncer.pid\n",
            mode: 0o400,
            uid: 998,
          },
        ],
      },
    },
    uid: 998,
    process: /^pgbouncer \/etc\/pgbouncer\/pgbouncer\.ini $/,
    health: ["switchyard-pooler-answers"],
    ask: ["test", "-S", "/run/pgbouncer/.s.PGSQL.6432"],
    answer: /^$/,
  },
  {
    name: "haproxy",
    container: { of: "haproxy" },
    uid: 99,
    process:
      /^haproxy -W -db -S \/run\/haproxy\/master\.sock,mode,660 -f \/usr\/local\/etc\/haproxy\/haproxy\.cfg $/,
    health: ["switchyard-router-answers"],
    ask: ["sh", "-c", "echo show info | socat - /run/haproxy/admin.sock"],
    answer: /^Version: 3\./m,
    // HAProxy's own way; SIGTERM, which the image names as its stop signal, is 0.
    interrupted: 130,
  },
  {
    name: "pg-health",
    container: {
      of: "switchyard",
      command: ["pg-health"],
      env: { PG_HEALTH_USER: "postgres", PG_HEALTH_PASSWORD_FILE: "/etc/secrets/secret" },
      volumes: { health: "/etc/secrets" },
      files: { "/etc/secrets": secretFile(997) },
    },
    uid: 997,
    process: /^\S*node \S*sidecars\/pg-health\/main\.ts $/,
    health: ["switchyard-healthcheck"],
    ask: http(8008, "/primary"),
    answer: /503 [^]*unreachable/,
  },
  {
    name: "pool-gate",
    container: {
      of: "switchyard",
      command: ["pool-gate"],
      env: {
        POOL_GATE_TOKEN_FILE: "/etc/secrets/secret",
        POOL_GATE_POOLER_USER: "admin",
        POOL_GATE_POOLER_PASSWORD_FILE: "/etc/secrets/secret",
      },
      volumes: { gate: "/etc/secrets" },
      files: { "/etc/secrets": secretFile(997) },
    },
    uid: 997,
    process: /^\S*node \S*sidecars\/pool-gate\/main\.ts $/,
    health: ["switchyard-healthcheck"],
    ask: http(8009, "/status"),
    answer: /401 /,
  },
  {
    name: "dns-resolver",
    container: {
      of: "switchyard",
      command: ["dns-resolver"],
      env: {
        // A port that only root may have elsewhere.
        DNS_RESOLVER_LISTEN: "0.0.0.0:53",
        DNS_RESOLVER_REGISTRY: "http://127.0.0.1:1",
        DNS_RESOLVER_NODE: "1",
        DNS_RESOLVER_TOKEN_FILE: "/etc/secrets/secret",
      },
      volumes: { resolver: "/etc/secrets", zone: "/var/lib/switchyard/dns-resolver" },
      files: { "/etc/secrets": secretFile(997) },
    },
    uid: 997,
    process: /^\S*node \S*sidecars\/dns-resolver\/main\.ts $/,
    health: ["switchyard-healthcheck"],
    ask: ["/switchyard/bin/dns-resolver", "status"],
    answer: /127\.0\.0\.1:53\s+bound\s+batched/,
  },
  {
    name: "registry",
    container: {
      of: "switchyard",
      command: ["registry", "start"],
      env: { REGISTRY_LISTEN: "0.0.0.0:8053", REGISTRY_DATA: "/var/lib/switchyard/registry" },
      volumes: { store: "/var/lib/switchyard/registry" },
    },
    uid: 997,
    process: /^\S*node \S*commands\/registry\.ts start $/,
    health: ["switchyard-healthcheck"],
    ask: http(8053, "/api/nodes"),
    answer: /401 /,
  },
];

async function checkImage(t: Test, containers: TestContainers, row: Row): Promise<void> {
  const name = await containers.run(row.name, row.container);
  const isHealthy = async (): Promise<true | undefined> =>
    (await containers.exec(name, ...row.health)).code === 0 || undefined;
  await eventually(`${row.name} answers its health check`, soon, isHealthy);
  t.equal((await containers.exec(name, "id", "-u")).output, String(row.uid), "its own user");
  const { output: words } = await containers.exec(
    name,
    "sh",
    "-c",
    "tr '\\0' ' ' </proc/1/cmdline",
  );
  t.match(`${words} `, row.process, "PID 1");
  const asked = await containers.exec(name, ...row.ask);
  t.match(asked.output, row.answer, `answers ${row.ask.at(-1)}`);
  await containers.until(name, "is healthy", ({ health }) => health === "healthy");

  await containers.engine.kill(name, "SIGSTOP");
  t.not(
    (await containers.exec(name, ...row.health)).code,
    0,
    "a process that hangs is not healthy",
  );
  await containers.engine.kill(name, "SIGCONT");
  await eventually(`${row.name} answers again`, soon, isHealthy);
  for (const signal of ["its stop signal", "SIGINT"]) {
    await containers.engine.start(name);
    await eventually(`${row.name} runs`, soon, isHealthy);
    const took = await timeOf(async () => {
      // A stop that waited for the engine's SIGKILL would show in the exit code.
      if (signal === "SIGINT") await containers.engine.kill(name, signal);
      else await containers.engine.stop(name, 30);
    });
    const { exitCode } = await containers.until(name, "ends", ({ status }) => status === "exited");
    t.equal(exitCode, signal === "SIGINT" ? (row.interrupted ?? 0) : 0, `${signal} ends it`);
    t.comment(`${row.name}: ${signal} took ${took} ms`);
  }
  await containers.engine.start(name);
  await eventually(`${row.name} runs`, soon, isHealthy);
  await containers.engine.kill(name, "SIGKILL");
  await containers.until(name, "ends", ({ status }) => status === "exited");
  await containers.engine.start(name);
  await eventually(`${row.name} runs again, whatever the killed one left`, soon, isHealthy);
}

t.test("setup", { skip }, async (t) => {
  const first = await setup(["--docker"]);
  t.equal(first.code, 0, first.stderr);
  // Once more where somebody changes the sources at this very moment.
  await eventually("a run that finds nothing to do", { ...soon, deadlineMs: 60_000 }, async () => {
    const { code, stderr } = await setup(["--docker"]);
    const nothing = /^setup: nothing to do: .*Docker Engine \S+, images \S+\n$/;
    return (code === 0 && nothing.test(stderr)) || undefined;
  });
});

t.test("setup where the engine is another machine's affair", { skip }, async (t) => {
  const silent = await setup(["--docker"], "unix:///nonexistent/docker.sock");
  t.match(silent, {
    code: 69,
    stderr:
      /no Docker Engine answers at unix:\/\/\/nonexistent\/docker\.sock.*\n.*It is not this machine's own.*unset DOCKER_HOST/,
  });
  t.match(await setup(["--docker", "--check"], "tcp://127.0.0.1:1"), {
    code: 69,
    stderr: /missing: a Docker Engine that answers \(tcp:\/\/127\.0\.0\.1:1 does not answer\)/,
  });
});

t.test("each image", { skip }, async (t) => {
  if (typeof engine === "string") return;
  const containers = await testContainers(t, engine);
  t.jobs = rows.length;
  const each = rows.map(async (row) => {
    await t.test(row.name, { buffered: true }, async (t) => await checkImage(t, containers, row));
  });
  await Promise.all(each);
  await t.test("no secret in what the engine tells", async (t) => {
    const names = (await engine.list({})).filter(({ name }) => name.includes(`-${process.pid}-`));
    t.equal(names.length, rows.length);
    const docker = async (...words: string[]): Promise<string> =>
      (await runChild("docker", words, { deadlineMs: 10_000 })).stdout;
    const told = [
      await docker("inspect", ...names.map(({ id }) => id)),
      ...(await Promise.all(names.map(async ({ id }) => await engine.logs(id, 1000)))),
    ];
    t.match(told.join(""), /sidecars|PG_HEALTH_USER/, "it is these containers that are told of");
    t.notMatch(told.join(""), secret);
    const { stdout: registry } = await runChild("npm", ["config", "get", "registry"], {
      deadlineMs: 20_000,
    });
    for (const image of ["postgres", "pgbouncer", "haproxy", "runtime", "switchyard"]) {
      const reference = containers.image(image);
      const text = await docker("image", "inspect", reference);
      const history = await docker("history", "--no-trunc", reference);
      t.notMatch(
        text + history,
        /proxy=|ca-certificates\.crt/i,
        `${image}: this machine's ways out`,
      );
      t.notOk((text + history).includes(new URL(registry.trim()).host), `${image}: its registry`);
    }
  });
});

t.test("an operator's command", { skip }, async (t) => {
  if (typeof engine === "string") return;
  const containers = await testContainers(t, engine);
  const ended = async (name: string): Promise<{ exitCode: number; said: string }> => {
    const { exitCode } = await containers.until(name, "ends", ({ status }) => status === "exited");
    return { exitCode, said: await engine.logs(name, 50) };
  };
  const help = await containers.run("help", { of: "switchyard", command: ["recovery", "--help"] });
  t.match(await ended(help), { exitCode: 0, said: /usage: recovery ENVIRONMENT/ });
  const wrong = await containers.run("wrong", { of: "switchyard", command: ["recovry"] });
  t.match(await ended(wrong), { exitCode: 64, said: /there is no process 'recovry'.* recovery/ });

  // As a flip's executor does: a session of its own, which the command does not wait for.
  const script =
    "mkfifo /tmp/go; setsid sh -c 'read x </tmp/go; echo it-went-on >/tmp/done' & exit 7";
  const start = ["/usr/local/bin/switchyard-operator", "sh", "-c", script];
  const left = await containers.run("left", { of: "switchyard", command: start });
  await eventually("the command has ended", soon, async () => {
    return (await engine.logs(left, 10)).includes("stays until") || undefined;
  });
  t.match(await engine.inspect(left), { status: "running" }, "what it started goes on");
  await containers.exec(left, "sh", "-c", "echo >/tmp/go");
  t.match(await ended(left), { exitCode: 7 }, "the exit code is the command's");
  t.equal((await engine.readFile(left, "/tmp/done"))?.toString(), "it-went-on\n");
});

if (typeof engine !== "string") t.teardown(() => engine.close());
