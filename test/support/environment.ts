/** A small environment for tests of what is rendered from one: two members, a router, an edge. */
import { parseEnvironment } from "../../config/load.ts";
import type { Environment } from "../../config/schema.ts";

export interface EnvironmentWishes {
  readonly sites?: readonly [string, string];
  /** Hosts of the two members. */
  readonly hosts?: readonly [string, string];
  /** Hosts of their pg-health, where they differ. */
  readonly healthHosts?: readonly [string, string];
  readonly listenHost?: string;
  readonly guard?: string;
  /** Further keys of haproxy, as YAML flow text. */
  readonly haproxy?: string;
  /** Further keys of the router and of its configuration. */
  readonly router?: string;
  readonly configuration?: string;
  readonly path?: string;
  readonly adminSocket?: string;
  /** Machines with a Docker Engine, by name. */
  readonly engineHosts?: readonly string[];
  /** Further keys of the two members, as YAML flow text. */
  readonly memberKeys?: readonly [string, string];
  /** The router's Runtime API; its admin socket here when not given. */
  readonly runtime?: string;
  /** Backends, as YAML flow text. */
  readonly backends?: readonly string[];
}

/** Parses the environment as the tools do. @throws ConfigError */
export async function testEnvironment(wishes: EnvironmentWishes = {}): Promise<Environment> {
  const text = environmentText(wishes);
  const variables = { PASSWORD: "not-shown" };
  return await parseEnvironment(text, { name: "test", file: "config/test.yml", variables });
}

/** The same environment as the text of its file. */
export function environmentText(wishes: EnvironmentWishes = {}): string {
  const [near, far] = wishes.sites ?? ["dal", "dal"];
  const hosts = wishes.hosts ?? ["127.50.0.1", "127.50.0.2"];
  const health = wishes.healthHosts ?? hosts;
  const listen = wishes.listenHost ?? "127.50.1.1";
  const socket = wishes.adminSocket ?? "/run/haproxy/admin.sock";
  const guard = wishes.guard ?? "auto";
  const member = (index: 0 | 1, name: string, site: string): string =>
    `  - { name: ${name}, ordinal: ${index}, site: ${site}, postgres: "${hosts[index]}:5432", pooler: { address: "${hosts[index]}:6432" }, health: "http://${health[index]}:8008", flapGuard: ${guard}, ${wishes.memberKeys?.[index] ?? ""} }`;
  return `
cluster: heatwave
login: { user: switchyard, password: "\${PASSWORD}" }
haproxy: { adminSocket: ${socket}, ${wishes.haproxy ?? ""} }
backends: [${(wishes.backends ?? []).join(", ")}]
hosts: [${(wishes.engineHosts ?? []).map((name) => `{ name: ${name} }`).join(", ")}]
members:
${member(0, "dal-01", near)}
${member(1, "chi-02", far)}
routers:
  - name: app-01
    site: dal
    runtime: ${wishes.runtime ?? `unix:${socket}`}
    listen: { write: "${listen}:6433", read: "${listen}:6434", stats: "${listen}:8404" }
    configuration: { path: ${wishes.path ?? "/etc/haproxy/haproxy.cfg"}, ${wishes.configuration ?? ""} }
    ${wishes.router ?? ""}
edgePoolers:
  - name: app-01
    address: "${listen}:6432"
    admin: { user: pooler_admin, password: "\${PASSWORD}" }
    databases: [app, app-reports]
    poolMode: transaction
`;
}
