/** `router ENV render`: prints the configuration of one router or of one pooler. */
import { join } from "node:path";
import type { Environment, Router } from "../../../config/schema.ts";
import { renderWithFences } from "../../../router/haproxy/install.ts";
import {
  edgePoolerConfiguration,
  nodePoolerConfiguration,
  placeInImage,
  versionInImage,
} from "../../../router/pooler/files.ts";
import type { PoolerPlace } from "../../../router/pooler/model.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { nearestHint } from "../environment.ts";
import { chooseFleet } from "./fleet.ts";

/** Prints the text; 0, or 64 where it is not clear which is meant. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation);
  const { pooler, edge } = invocation.flags;
  if (typeof pooler === "string" && typeof edge === "string") {
    throw new UsageError(
      "--pooler and --edge: one at a time",
      "see router ENVIRONMENT render --help",
    );
  }
  const text =
    typeof pooler === "string"
      ? await nodePooler(environment, pooler)
      : typeof edge === "string"
        ? await edgePooler(environment, edge, onlyRouter(environment, routers))
        : await renderWithFences(environment, onlyRouter(environment, routers), invocation.signal);
  invocation.output.result(text.replace(/\n$/, ""));
  return exitCodes.done;
}

function onlyRouter(environment: Environment, routers: readonly Router[]): Router {
  const [first, second] = routers;
  if (first !== undefined && second === undefined) return first;
  const names = routers.map((one) => one.name).join(", ");
  throw new UsageError(`${environment.name} has several routers`, `choose --router: ${names}`);
}

/** Debian's places, which its package's service uses. */
const debianFolder = "/etc/pgbouncer";

function placeFor(adminUsers: readonly string[]): PoolerPlace {
  return {
    logFile: "/var/log/postgresql/pgbouncer.log",
    pidFile: "/var/run/postgresql/pgbouncer.pid",
    userlistFile: join(debianFolder, "userlist.txt"),
    adminUsers,
  };
}

async function nodePooler(environment: Environment, name: string): Promise<string> {
  const member = environment.members.find((one) => one.name === name);
  if (member === undefined) {
    const names = environment.members.map((one) => one.name);
    throw unknown(environment, "member", name, names);
  }
  const admin = member.pooler.admin?.user ?? environment.login.user;
  return member.local === undefined
    ? await nodePoolerConfiguration(environment, name, placeFor([admin]))
    : await nodePoolerConfiguration(environment, name, placeInImage([admin]), versionInImage);
}

async function edgePooler(environment: Environment, name: string, router: Router): Promise<string> {
  const edge = environment.edgePoolers.find((one) => one.name === name);
  if (edge === undefined) {
    const names = environment.edgePoolers.map((one) => one.name);
    throw unknown(environment, "edge pooler", name, names);
  }
  const admins = [edge.admin.user];
  return edge.host === undefined
    ? await edgePoolerConfiguration(environment, name, router.name, placeFor(admins))
    : await edgePoolerConfiguration(
        environment,
        name,
        router.name,
        placeInImage(admins),
        versionInImage,
      );
}

function unknown(
  environment: Environment,
  kind: string,
  name: string,
  known: readonly string[],
): UsageError {
  return new UsageError(
    `${environment.name} has no ${kind} ${JSON.stringify(name)}`,
    nearestHint(name, known),
  );
}
