/**
 * The upstreams of a running resolver, read anew from their file when that is asked for (SIGHUP). What
 * cannot be used is told, and the old ones stay.
 */
import { ConfigError } from "../../config/config-error.ts";
import { faultWords } from "../../kit/fault-words.ts";
import type { Logger } from "../../kit/logger.ts";
import type { OpenForwarder } from "./forward/forwarder.ts";
import type { UpstreamChoice } from "./forward/settings.ts";
import type { Settings } from "./settings.ts";
import { upstreamTexts } from "./status.ts";
import { readUpstreamsFile } from "./upstream-words.ts";
import { isAnsweredHere } from "./zone/special.ts";

export interface Upstreams {
  /** Who is asked now. */
  current(): UpstreamChoice;
  /** Reads the file again, once more when it is being read already. Never rejects. */
  reload(): Promise<void>;
}

/** The upstreams of these settings, which `forwarder` asks already; undefined: it asks nobody, ever. */
export function createUpstreams(
  settings: Pick<Settings, "listen" | "upstreams" | "upstreamsFile">,
  forwarder: Pick<OpenForwarder, "choose"> | undefined,
  logger: Pick<Logger, "info" | "error">,
): Upstreams {
  const { listen, upstreamsFile: file } = settings;
  let current = settings.upstreams;
  const read = async (): Promise<void> => {
    if (file === undefined || forwarder === undefined) {
      const why = "DNS_RESOLVER_UPSTREAMS_FILE is not set: there is nothing to read again";
      logger.error({ step: "upstreams" }, why);
      return;
    }
    try {
      const next = { ...current, ...(await readUpstreamsFile(file, listen)) };
      refuseOtherSpecials(current, next);
      forwarder.choose(next);
      current = next;
      const facts = { step: "upstreams", upstreams: upstreamTexts(next) };
      logger.info(facts, "the upstreams were read again");
    } catch (error) {
      logger.error({ step: "upstreams" }, `the old upstreams stay: ${faultWords(error)}`);
    }
  };
  let [running, waiting]: (Promise<void> | undefined)[] = [];
  const begin = (): Promise<void> => {
    waiting = undefined;
    running = read().finally(() => (running = undefined));
    return running;
  };
  return {
    current: () => current,
    // Whoever asks while it is read may have changed it since.
    reload: () => (running === undefined ? begin() : (waiting ??= running.then(begin))),
  };
}

/**
 * Which of the names that never stand in the public tree are forwarded is built into the zone.
 * @throws ConfigError
 */
function refuseOtherSpecials(before: UpstreamChoice, after: UpstreamChoice): void {
  const specials = ({ zones }: UpstreamChoice): string[] =>
    zones.map(({ zone }) => zone).filter(isAnsweredHere);
  const [old, now] = [specials(before), specials(after)];
  const other = [...old, ...now].find((zone) => !(old.includes(zone) && now.includes(zone)));
  if (other === undefined) return;
  throw new ConfigError(
    `the zone ${other}, which is answered here without upstreams, comes or goes only with a restart`,
  );
}
