/**
 * The schema of config/<environment>.yml: every key, its unit, default and limits. Parsing turns
 * text into values (durations to milliseconds, sizes to bytes, addresses to host and port) and
 * refuses unknown keys. What each key means to an operator stands in docs/configuration.md.
 */
import { z } from "zod";
import {
  addressValue,
  durationValue,
  healthUrlValue,
  identifierValue,
  nameValue,
  pathValue,
  sizeValue,
} from "./values.ts";
import { Secret } from "./secret.ts";

/** A secret as it stands in the file; load.ts has resolved it to a Secret before this sees it. */
const secretValue = z.instanceof(Secret, { error: "expected ${NAME} or file:/absolute/path" });

const second = 1000;
const hour = 3600 * second;
const checkTime = durationValue({ minMs: 50, maxMs: 60 * second });
const checkCount = z.int().min(1).max(20);

const login = z.strictObject({
  user: identifierValue,
  password: secretValue,
  database: identifierValue.default("postgres"),
  tls: z.enum(["disable", "require", "verify-full"]).default("disable"),
  tlsCa: pathValue.optional(),
});

const flapGuard = z.strictObject({
  inter: checkTime,
  fastinter: checkTime,
  downinter: checkTime,
  rise: checkCount,
  fall: checkCount,
  timeout: checkTime,
});

const member = z.strictObject({
  name: nameValue,
  ordinal: z.int().min(0).max(999),
  site: nameValue.optional(),
  postgres: addressValue,
  pooler: z.strictObject({
    address: addressValue,
    admin: z.strictObject({ user: identifierValue, password: secretValue }).optional(),
  }),
  health: healthUrlValue,
  slot: z
    .string()
    .regex(/^[a-z0-9_]{1,63}$/, "expected a slot name: lower-case letters, digits and _")
    .optional(),
  flapGuard: z.union([z.enum(["auto", "local", "remote"]), flapGuard]).default("auto"),
  manager: z.enum(["none", "pg_auto_failover", "patroni", "repmgr"]).default("none"),
});

const runtimeAddress = z
  .string()
  .regex(
    /^(unix:\/[A-Za-z0-9._/@+-]{1,100}|tcp:\/\/(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]{1,253}):[1-9][0-9]{0,4})$/,
    "expected unix:/path or tcp://host:port",
  );

const argv = z.array(z.string().min(1)).min(1);

const router = z.strictObject({
  name: nameValue,
  site: nameValue.optional(),
  listen: z.strictObject({
    write: addressValue,
    read: addressValue,
    stats: addressValue,
  }),
  runtime: runtimeAddress,
  master: runtimeAddress.optional(),
  configuration: z.strictObject({
    path: pathValue,
    /** Programs that reach the router's host; without them the router is on this machine. */
    read: argv.optional(),
    check: argv.optional(),
    write: argv.optional(),
    reload: argv.optional(),
  }),
});

const edgePooler = z.strictObject({
  name: nameValue,
  address: addressValue,
  admin: z.strictObject({ user: identifierValue, password: secretValue }),
  databases: z.array(identifierValue).min(1),
  poolMode: z.enum(["transaction", "session"]),
});

const haproxy = z.strictObject({
  program: pathValue.default("/usr/sbin/haproxy"),
  user: identifierValue.optional(),
  group: identifierValue.optional(),
  adminSocket: pathValue.default("/run/haproxy/admin.sock"),
  resolver: addressValue.optional(),
  maxConnections: z.int().min(10).max(100_000).default(2000),
  connectTimeout: durationValue({ minMs: 100, maxMs: 60 * second }).default(5 * second),
  queueTimeout: durationValue({ minMs: second, maxMs: 600 * second }).default(20 * second),
  clientTimeout: durationValue({ minMs: second, maxMs: 48 * hour }).default(12 * hour),
  hardStopAfter: durationValue({ minMs: second, maxMs: 48 * hour }).default(hour / 2),
  replicaLag: sizeValue.default(16 * 1024 ** 2),
});

const pgHealth = z.strictObject({
  slowGrace: durationValue({ minMs: 100, maxMs: 60 * second }).default(3 * second),
  peerDeadline: durationValue({ minMs: 100, maxMs: 60 * second }).default(2 * second),
});

const thresholds = z.strictObject({
  lag: sizeValue.default(16 * 1024 ** 2),
  probe: durationValue({ minMs: 100, maxMs: 30 * second }).default(second),
});

const environmentShape = z.strictObject({
  aliases: z.array(nameValue).default([]),
  cluster: nameValue,
  login,
  members: z.array(member).min(1).max(16),
  routers: z.array(router).max(64).default([]),
  edgePoolers: z.array(edgePooler).max(64).default([]),
  haproxy: haproxy.prefault({}),
  pgHealth: pgHealth.prefault({}),
  thresholds: thresholds.prefault({}),
});

/** The shape of an environment file plus what holds between its values. */
export const environmentSchema = environmentShape.superRefine((environment, context) => {
  const unique = (path: string, values: readonly (string | number)[]): void => {
    for (const [index, value] of values.entries()) {
      if (values.indexOf(value) === index) continue;
      context.addIssue({ code: "custom", path: [path, index], message: `${value} stands twice` });
    }
  };
  unique(
    "members",
    environment.members.map((one) => one.name),
  );
  unique(
    "members",
    environment.members.map((one) => one.ordinal),
  );
  unique(
    "routers",
    environment.routers.map((one) => one.name),
  );
  unique(
    "edgePoolers",
    environment.edgePoolers.map((one) => one.name),
  );
});

export type EnvironmentFile = z.infer<typeof environmentShape>;
/** A loaded environment: the file's values plus its name and where it was read from. */
export interface Environment extends EnvironmentFile {
  readonly name: string;
  readonly file: string;
}
export type Member = EnvironmentFile["members"][number];
export type Router = EnvironmentFile["routers"][number];
export type EdgePooler = EnvironmentFile["edgePoolers"][number];
export type FlapGuard = z.infer<typeof flapGuard>;
export type Login = EnvironmentFile["login"];
