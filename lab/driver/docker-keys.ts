/**
 * What the environment of a lab of containers says besides addresses: the two engine hosts, by what
 * names the containers of the same host reach a member, and how the tools get into containers.
 */
import { postgresPaths, routerListen, routerPaths } from "../../config/kamal-words.ts";
import type { LabModel } from "../model.ts";
import { sites } from "../addresses.ts";
import type { EnvironmentKeys } from "./driver.ts";
import { containerOf, endOf, networkName } from "./docker-names.ts";

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
          pooler: endOf(model, name, "pooler"),
          health: `http://${endOf(model, name, "health")}`,
        },
        control: {
          container: containerOf(model, name, "postgres"),
          poolerContainer: containerOf(model, name, "pooler"),
          data: postgresPaths.data,
          programs: postgresPaths.programs,
        },
      };
    },
    router: (name) => {
      const { site } = requireHost(model.apps, name);
      const container = `docker://${containerOf(model, name, "router")}`;
      return {
        site,
        host: site,
        // In its container; others reach it by the container's addresses.
        listen: routerListen,
        runtime: `${container}${routerPaths.admin}`,
        master: `${container}${routerPaths.master}`,
        configuration: { path: routerPaths.configuration },
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
