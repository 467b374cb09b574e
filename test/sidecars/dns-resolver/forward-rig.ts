/** A forwarder for a test, its upstreams, and how it is asked. */
import { systemClock } from "../../../kit/clock.ts";
import type { Address } from "../../../kit/address.ts";
import { createForwarder } from "../../../sidecars/dns-resolver/forward/forwarder.ts";
import type { OpenForwarder } from "../../../sidecars/dns-resolver/forward/forwarder.ts";
import type { ForwarderSettings } from "../../../sidecars/dns-resolver/forward/settings.ts";
import { openUpstream } from "./fake-upstream.ts";
import type { FakeUpstream, Heard } from "./fake-upstream.ts";
import { askBytes, tell } from "./message-kit.ts";
import type { Ask, Told } from "./message-kit.ts";
import { a } from "./reply-kit.ts";
import type { ReplyWords } from "./reply-kit.ts";

export interface Scope {
  readonly teardown: (undo: () => unknown) => unknown;
}

export const host = "127.41.7.1";
export const name = "www.example.com";
export const soon = { deadlineMs: 20_000, intervalMs: 5 };
export const udp = { transport: "udp", address: "127.0.0.1" } as const;
export const replying = (words: ReplyWords) => (heard: Heard) => heard.reply(words);
export const address = replying({ answer: [a("@", "192.0.2.1")] });
export const silence = (): void => undefined;

/** Opens an upstream for the time of a test. */
export async function upstream(
  t: Scope,
  answer: (heard: Heard) => void,
  at = host,
): Promise<FakeUpstream> {
  const opened = await openUpstream(at, answer);
  t.teardown(() => opened.close());
  return opened;
}

/** So long that a busy machine makes nobody late; who tests lateness says otherwise. */
const patient = { totalMs: 9000, hedgeMinMs: 3000 };

/** A clock that a test can put forward. */
export function clockAhead() {
  const clock = { ...systemClock, aheadMs: 0 };
  clock.monotonic = () => systemClock.monotonic() + clock.aheadMs;
  return clock;
}

/** Opens a forwarder to these upstreams for the time of a test. */
export function forwarder(
  t: Scope,
  upstreams: readonly { readonly address: Address }[],
  more: Partial<ForwarderSettings> = {},
  clock = systemClock,
): OpenForwarder {
  const opened = createForwarder(
    {
      upstreams: upstreams.map((one) => one.address),
      zones: [],
      ownAddresses: [],
      udpSizeMax: 1232,
      ...more,
      limits: { ...patient, ...more.limits },
    },
    clock,
  );
  t.teardown(() => opened.close());
  return opened;
}

/** Asks over UDP with EDNS, unless told otherwise. */
export async function ask(way: OpenForwarder, given: Partial<Ask> = {}): Promise<Told> {
  const answer = await way.forward(
    askBytes({ name, type: 1, edns: { size: 1232 }, ...given }),
    udp,
  );
  if (answer === undefined) throw new Error("the query was dropped");
  return tell(answer);
}

export const well = { rcode: "NOERROR", answer: [/A 192\.0\.2\.1$/] };
