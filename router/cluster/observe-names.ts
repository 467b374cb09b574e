/** Looks at what gives a cluster its names, and at the monitor that runs it, where these are declared. */
import type { Environment } from "../../config/schema.ts";
import { formatAddress } from "../../kit/address.ts";
import { askMonitor } from "../monitor/ask.ts";
import { askRegistry, askResolver, namesOf } from "../names/ask.ts";
import type { Look } from "./look.ts";
import type { Observation } from "./observation.ts";

/** The registry and every resolver, side by side. @throws the outer signal's reason */
export async function observeNames(
  environment: Environment,
  look: Look,
): Promise<Pick<Observation, "names">> {
  const names = namesOf(environment);
  if (names === undefined) return {};
  const [registry, resolvers] = await Promise.all([
    look(`registry at ${names.address}`, ({ signal }) => askRegistry(names, signal)),
    Promise.all(
      names.resolvers.map(async ({ name, address }) => ({
        name,
        address: formatAddress(address),
        said: await look(`resolver at ${formatAddress(address)}`, (options) =>
          askResolver(names, address, options),
        ),
      })),
    ),
  ]);
  const { primary, address } = names;
  return { names: { primary, registry: { ...registry, address }, resolvers } };
}

/** The nodes as the monitor has them. @throws the outer signal's reason */
export async function observeMonitor(
  environment: Environment,
  look: Look,
): Promise<Pick<Observation, "monitor">> {
  const { monitor } = environment;
  if (monitor === undefined) return {};
  const address = formatAddress(monitor.address);
  const said = await look(`monitor at ${address}`, (options) => askMonitor(monitor, options));
  return { monitor: { ...said, address } };
}
