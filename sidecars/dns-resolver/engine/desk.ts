/**
 * What every engine has before it: the zone that is served, and the way out for what the zone does not
 * answer by itself. Misses are bounded; what comes above the bound is dropped, and the asker asks again.
 */
import { chainGoesOut } from "../answers/answers.ts";
import type { AnswerOptions } from "../answers/answers.ts";
import { closeChain, openChain } from "../answers/answers-chain.ts";
import type { Asker, Forwarder, ZoneSettings } from "../parts.ts";
import type { Serving } from "../zone/serving.ts";
import { count, countAnswer, newTally } from "./tally.ts";
import type { Tally } from "./tally.ts";

export interface Desk {
  readonly serving: Serving;
  readonly options: Readonly<Record<Asker["transport"], AnswerOptions>>;
  /**
   * Answers what `answer` could not: `code` is what it returned; `query` stays as it is from now on.
   * Resolves with undefined where there is no answer; never rejects.
   */
  readonly miss: (code: number, query: Uint8Array, asker: Asker) => Promise<Uint8Array | undefined>;
  /** Of the main thread: misses, streams, and the engine of node:dgram. */
  readonly tally: Tally;
}

const missesMax = 4096;

/** Makes the desk; without a forwarder it is strictly authoritative. */
export function createDesk(
  settings: ZoneSettings,
  serving: Serving,
  forwarder: Forwarder | undefined,
): Desk {
  const { udpSizeMax } = settings;
  const forwards = settings.forwards && forwarder !== undefined;
  const options = {
    udp: { transport: "udp", forwards, udpSizeMax },
    tcp: { transport: "tcp", forwards, udpSizeMax },
  } as const;
  const tally = newTally();
  let underWay = 0;
  const miss: Desk["miss"] = async (code, query, asker) => {
    if (forwarder === undefined || underWay >= missesMax) {
      count(tally, "forward_drops");
      return undefined;
    }
    underWay += 1;
    count(tally, "forwarded");
    try {
      const answer =
        code === chainGoesOut
          ? await followChain(serving, forwarder, query, options[asker.transport])
          : await forwarder.forward(query, asker);
      if (answer === undefined) count(tally, "forward_drops");
      else countAnswer(tally, answer);
      return answer;
    } catch {
      // A forwarder does not reject; if one did, an asker without an answer asks again.
      count(tally, "forward_drops");
      return undefined;
    } finally {
      underWay -= 1;
    }
  };
  return { serving, options, miss, tally };
}

async function followChain(
  serving: Serving,
  forwarder: Forwarder,
  query: Uint8Array,
  options: AnswerOptions,
): Promise<Uint8Array | undefined> {
  const chain = openChain(serving.current(), query);
  // The zone has changed since: the asker's next try gets what it says now.
  if (chain === undefined) return undefined;
  const { target, facts } = chain;
  return closeChain(chain, await forwarder.resolveTarget(target, facts.type), options);
}
