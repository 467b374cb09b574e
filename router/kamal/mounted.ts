/**
 * Which files the accessories mount: the paths on both sides, the template or the command behind
 * each, and what the templates show. Pure.
 */
import { imageUsers, poolerPaths } from "../../config/kamal-words.ts";
import type { ImageName } from "../../config/kamal-words.ts";
import type { Environment, Member } from "../../config/schema.ts";
import { formatHost } from "../../kit/address.ts";
import type { TemplateModel } from "../../kit/template.ts";
import type { AccessoryFile } from "./accessory.ts";
import { containedMembers, routerBehind } from "./addresses.ts";
import { secretNames } from "./secret-names.ts";

/** The user that a program runs as in its image, for the owner of its files. */
export const owners = {
  postgres: ownerOf("postgres"),
  pgbouncer: ownerOf("pgbouncer"),
  haproxy: ownerOf("haproxy"),
} as const;

function ownerOf(image: ImageName): string {
  return `${imageUsers[image]}:${imageUsers[image]}`;
}

/** The role that standbys log in with. */
export const replicationRole = "replicator";

/** Paths in the containers. */
export const mountedAt = {
  ...poolerPaths,
  settings: "/etc/postgresql/switchyard.conf",
  password: "/etc/postgresql/superuser.password",
  passfile: "/etc/postgresql/passfile",
  roles: "/docker-entrypoint-initdb.d/roles.sql",
} as const;

/** The configuration of a node pooler, that of an edge pooler, or what a template gives. */
export type MountedFileModel =
  | { readonly local: string; readonly member: string; readonly admin: string }
  | {
      readonly local: string;
      readonly edge: string;
      readonly router: string;
      readonly admin: string;
    }
  | { readonly local: string; readonly template: string; readonly model: TemplateModel };

/** The folder of an environment's files in the repository of the app. */
export function filesFolder(environment: string): string {
  return `config/switchyard/${environment}`;
}

/** An uploaded file; one with a secret in it is for its owner alone. */
export function uploaded(
  local: string,
  remote: string,
  owner: string,
  mode: "0644" | "0400",
): AccessoryFile {
  return { local, remote, mode, owner };
}

/** What a standby is told of the member that it follows first. The password is in the passfile. */
export function connectionTo(upstream: Member, standby: Member): string {
  const { host, port } = upstream.postgres;
  return `host=${host} port=${port} user=${replicationRole} application_name=${standby.name}`;
}

/**
 * Every file that the accessories of an environment mount.
 * @throws KamalModelError
 */
export function mountedFilesModel(environment: Environment): MountedFileModel[] {
  const { name, edgePoolers } = environment;
  const folder = filesFolder(name);
  const members = containedMembers(environment);
  const secrets = secretNames(environment);
  const userlist = (file: string, user: string, secret: string): MountedFileModel => ({
    local: `${folder}/${file}`,
    template: "userlist.txt.erb",
    model: { user, variable: secret, folder },
  });
  return [
    ...members.flatMap(({ member }, index) =>
      postgresFiles(environment, member, members[index === 0 ? 1 : 0]?.member, index === 0),
    ),
    ...members.flatMap(({ member }): MountedFileModel[] => {
      const admin = member.pooler.admin?.user ?? environment.login.user;
      const secret =
        member.pooler.admin === undefined ? secrets.login : secrets.pooler(member.name);
      return [
        { local: `${folder}/pgbouncer-${member.name}.ini`, member: member.name, admin },
        userlist(`userlist-${member.name}.txt.erb`, admin, secret),
      ];
    }),
    ...edgePoolers.flatMap((edge, index): MountedFileModel[] => {
      if (edge.host === undefined) return [];
      const router = routerBehind(environment, edge, `edgePoolers[${index}]`).router.name;
      const admin = edge.admin.user;
      return [
        { local: `${folder}/pgbouncer-edge-${edge.name}.ini`, edge: edge.name, router, admin },
        userlist(`userlist-edge-${edge.name}.txt.erb`, admin, secrets.edge(edge.name)),
      ];
    }),
  ];
}

function postgresFiles(
  { name: environment, members }: Environment,
  member: Member,
  upstream: Member | undefined,
  isFirst: boolean,
): MountedFileModel[] {
  const folder = filesFolder(environment);
  const others = members.filter((one) => one !== member);
  const roles = {
    local: `${folder}/roles.sql.erb`,
    template: "roles.sql.erb",
    model: {
      role: replicationRole,
      slots: others.flatMap(({ slot }) => (slot === undefined ? [] : [{ slot }])),
    },
  };
  return [
    {
      local: `${folder}/postgres-${member.name}.conf`,
      template: "postgres.conf",
      model: {
        member: member.name,
        environment,
        upstream:
          upstream === undefined
            ? false
            : {
                connection: connectionTo(upstream, member).replaceAll("'", "''"),
                host: formatHost(upstream.postgres.host),
                passfile: mountedAt.passfile,
              },
        slot: member.slot ?? false,
      },
    },
    ...(isFirst
      ? [
          roles,
          { local: `${folder}/superuser.password.erb`, template: "password.erb", model: {} },
          {
            local: `${folder}/passfile.erb`,
            template: "passfile.erb",
            model: { role: replicationRole },
          },
        ]
      : []),
  ];
}
