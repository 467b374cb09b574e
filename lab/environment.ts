/** The environment file of a lab: the same schema as production, secrets as file references. */
import { stringify } from "yaml";
import { formatAddress } from "../kit/address.ts";
import { controlKeys } from "./control-keys.ts";
import type { LabModel } from "./model.ts";
import { partOf } from "./model.ts";
import type { LabPlace } from "./place.ts";
import type { Programs } from "./programs.ts";
import { labDatabase, labUsers, secretFile } from "./secrets.ts";

/** The first line of every file that a lab writes into config/, by which it is known again. */
export const environmentHead = "# Written by bin/lab, and removed by bin/lab down.";

/** The text of config/<name>.yml for the lab. */
export function labEnvironment(
  model: LabModel,
  place: LabPlace,
  programs: Pick<Programs, "haproxy" | "postgresFolder" | "pgbouncer">,
): string {
  const password = (user: Parameters<typeof secretFile>[1]): string =>
    `file:${secretFile(model.folder, user)}`;
  const poolerAdmin = { user: labUsers.poolerAdmin, password: password("poolerAdmin") };
  const environment = {
    cluster: model.name,
    login: { user: labUsers.superuser, password: password("superuser"), database: "postgres" },
    members: model.members.map((member) => ({
      name: member.name,
      ordinal: member.ordinal,
      postgres: formatAddress(member.postgres),
      pooler: { address: formatAddress(member.pooler), admin: poolerAdmin },
      health: `http://${formatAddress(member.health)}`,
      slot: member.slot,
      control: controlKeys(model, place, programs, member.name),
    })),
    routers: model.apps.map((app) => {
      const { folder } = partOf(model, app.name, "router");
      return {
        name: app.router,
        listen: {
          write: formatAddress(app.write),
          read: formatAddress(app.read),
          stats: formatAddress(app.stats),
        },
        runtime: `unix:${folder}/admin.sock`,
        master: `unix:${folder}/master.sock`,
        adminSocket: `${folder}/admin.sock`,
        configuration: { path: `${folder}/haproxy.cfg` },
      };
    }),
    edgePoolers: model.apps.map((app) => ({
      name: app.edgePooler,
      address: formatAddress(app.edge),
      admin: poolerAdmin,
      databases: [labDatabase, "postgres"],
      poolMode: model.pooling,
      gate: { url: `http://${formatAddress(app.gate)}`, token: password("gateToken") },
    })),
    haproxy: { program: programs.haproxy },
  };
  return `${environmentHead}\n${stringify(environment, { aliasDuplicateObjects: false })}`;
}
