/**
 * What the environment of a lab of containers says besides addresses: the two engine hosts, by what
 * names the containers of the same host reach a member, and how the tools get into containers.
 */
import type { LabModel } from "../model.ts";
import { sites } from "../addresses.ts";
import type { EnvironmentKeys } from "./driver.ts";
import { containerOf, networkName } from "./docker-names.ts";
import { dataInContainer, folderOf, programsInContainer } from "./docker-specs.ts";

/** The keys of the environment; `engine` is the URL of the one engine that plays both hosts. */
export function dockerKeys(model: LabModel, engine: string): EnvironmentKeys {
  return {
    whole: {
      hosts: sites.map((site) => ({ name: site, engine, network: networkName(model, site) })),
    },
    member: (name) => {
      const { site } = requireHost(model.members, name);
      return {
        site,
        host: site,
        local: {
          pooler: `${containerOf(model, name, "pooler")}:6432`,
          health: `http://${containerOf(model, name, "health")}:8008`,
        },
        control: {
          container: containerOf(model, name, "postgres"),
          poolerContainer: containerOf(model, name, "pooler"),
          data: dataInContainer,
          programs: programsInContainer,
        },
      };
    },
    router: (name) => {
      const { site } = requireHost(model.apps, name);
      const sockets = `docker://${containerOf(model, name, "router")}/run/haproxy`;
      return {
        site,
        host: site,
        // In its container; others reach it by the container's addresses.
        listen: { write: "0.0.0.0:6433", read: "0.0.0.0:6434", stats: "0.0.0.0:8404" },
        runtime: `${sockets}/admin.sock`,
        master: `${sockets}/master.sock`,
        configuration: { path: `${folderOf.router}/haproxy.cfg` },
      };
    },
    edgePooler: (host) => ({ host: requireHost(model.apps, host).site }),
  };
}

function requireHost<T extends { readonly name: string }>(hosts: readonly T[], name: string): T {
  const host = hosts.find((one) => one.name === name);
  if (host === undefined) throw new TypeError(`the lab has no host ${name}`);
  return host;
}
