/**
 * A program of its own for a test: opens the listeners with the engine that its word names, and prints
 * what they say; run where Node may load no addons, as on a machine that has none for it.
 */
import { systemClock } from "../../../kit/clock.ts";
import { createLogger } from "../../../kit/logger.ts";
import type { EngineName } from "../../../sidecars/dns-resolver/engine/open.ts";
import { startListeners } from "../../../sidecars/dns-resolver/listen/listeners.ts";
import { createServing } from "../../../sidecars/dns-resolver/zone/serving.ts";

const settings = { zone: "temps.local", aliases: [], forwards: false, udpSizeMax: 1232 };
const [engine = "auto", host = "", port = ""] = process.argv.slice(2);

try {
  const listeners = await startListeners({
    addresses: [{ host, port: Number(port) }],
    engine: engine as "auto" | EngineName,
    settings,
    serving: createServing(settings),
    forwarder: undefined,
    clock: systemClock,
    logger: createLogger({ name: "test", level: "silent" }),
  });
  process.stdout.write(JSON.stringify(listeners.states()));
  await listeners.close();
} catch (error) {
  process.stdout.write(JSON.stringify(error));
}
