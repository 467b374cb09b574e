/** The generated passwords of a lab: one file each, readable by their owner alone. */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import { Secret } from "../config/secret.ts";

/** Who has a password, and the role or user it belongs to; `monitor` is on the monitor's Postgres. */
export const labUsers = {
  superuser: "postgres",
  app: "app",
  replicator: "replicator",
  poolerAdmin: "pooler_admin",
  monitor: "autoctl_node",
} as const;

/** The database of the app. */
export const labDatabase = "app";

/** Who has a secret: a user, or the callers of the pool-gates. */
export type LabSecret = keyof typeof labUsers | "gateToken";
export type LabSecrets = Readonly<Record<LabSecret, Secret>>;

/** The file of the registry's first token, which the registry itself writes. */
export function registryTokenFile(folder: string): string {
  return join(folder, "secrets", "registryToken");
}

/** The file of one secret. */
export function secretFile(folder: string, of: LabSecret): string {
  return join(folder, "secrets", of);
}

/** Generates and writes all secrets of the lab in `folder`. */
export async function makeSecrets(folder: string): Promise<LabSecrets> {
  await mkdir(join(folder, "secrets"), { recursive: true });
  await chmod(join(folder, "secrets"), 0o700);
  return await forEachUser(async (user) => {
    const text = randomBytes(24).toString("base64url");
    await writeFileAtomically(secretFile(folder, user), `${text}\n`, { mode: 0o600 });
    return new Secret(text);
  });
}

/** Reads all secrets of the lab in `folder`. */
export async function readSecrets(folder: string): Promise<LabSecrets> {
  return await forEachUser(async (user) => {
    const text = await readFile(secretFile(folder, user), "utf8");
    return new Secret(text.trim());
  });
}

async function forEachUser(make: (of: LabSecret) => Promise<Secret>): Promise<LabSecrets> {
  const [superuser, app, replicator, poolerAdmin, monitor, gateToken] = await Promise.all([
    make("superuser"),
    make("app"),
    make("replicator"),
    make("poolerAdmin"),
    make("monitor"),
    make("gateToken"),
  ]);
  return { superuser, app, replicator, poolerAdmin, monitor, gateToken };
}
