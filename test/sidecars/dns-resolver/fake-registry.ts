/**
 * A registry on a real socket that says what a test wants: changes with long polls and tombstones as
 * the contract has them, and lies where told to, which the real one cannot be brought to.
 */
import { jsonReply, listen, textReply } from "../../../kit/http.ts";
import type { HttpListener } from "../../../kit/http.ts";
import { formatHash, hashOf } from "../../../kit/zone-hash.ts";
import type { AckRequest, ChangesReply, Endpoint } from "../../../registry/contract.ts";
import { eventually } from "../../../kit/clock.ts";

export const token = "token-of-a-test-0123456789";
export const soon = { deadlineMs: 20_000, intervalMs: 5 };

export interface FakeState {
  epoch: string;
  generation: number;
  /** By id. */
  records: Map<number, Endpoint>;
  removed: Map<number, number>;
}

export interface FakeRegistry {
  readonly url: string;
  state: FakeState;
  /** What was acknowledged, in order. */
  readonly acks: AckRequest[];
  /** The queries of the changes that were asked for, in order. */
  readonly asked: URLSearchParams[];
  /** Changes each reply before it is sent. */
  tamper: ((reply: ChangesReply, asked: URLSearchParams) => unknown) | undefined;
  /** The status that acknowledgements are refused with; 200 when not set. */
  ackStatus: number;
  /** Puts and removes records under one new generation, and wakes who waits. */
  commit(records: readonly Partial<Endpoint>[], removed?: readonly number[]): void;
  /** Another state of the store, as after a restore. */
  restore(state: FakeState): void;
  copy(): FakeState;
  acknowledged(generation: number): Promise<AckRequest>;
  /** Goes away; polls that are held are cut. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

/** A record of the zone as a registry publishes it. */
export function record(
  id: number,
  name: string,
  target: string,
  more: Partial<Endpoint> = {},
): Endpoint {
  return {
    id,
    fqdn: name === "" ? "temps.local" : `${name}.temps.local`,
    record_type: target.includes(":") ? "AAAA" : "A",
    target_ip: target,
    target_port: 5432,
    ttl: 5,
    owner_kind: "static",
    owner_id: 1,
    node_id: null,
    generation: 0,
    ...more,
  };
}

/** Starts it for node `node` at `host`:`port`; it ends with the test. */
export async function startFakeRegistry(
  t: Teardown,
  { host, port = 8053, node = 7 }: { host: string; port?: number; node?: number },
): Promise<FakeRegistry> {
  let news = Promise.withResolvers<void>();
  let server: HttpListener | undefined;
  const wake = (): void => {
    news.resolve();
    news = Promise.withResolvers<void>();
  };
  const fake: FakeRegistry = {
    url: `http://${host}:${port}`,
    state: { epoch: "epoch-1", generation: 0, records: new Map(), removed: new Map() },
    acks: [],
    asked: [],
    tamper: undefined,
    ackStatus: 200,
    commit: (records, removed = []) => {
      const { state } = fake;
      state.generation += 1;
      for (const id of removed) {
        state.records.delete(id);
        state.removed.set(id, state.generation);
      }
      for (const one of records) {
        const whole = { ...(one as Endpoint), generation: state.generation };
        state.records.set(whole.id, whole);
        state.removed.delete(whole.id);
      }
      wake();
    },
    restore: (state) => {
      fake.state = state;
      wake();
    },
    copy: () => ({
      ...fake.state,
      records: new Map(fake.state.records),
      removed: new Map(fake.state.removed),
    }),
    acknowledged: async (generation) =>
      await eventually(`an ack of ${generation}`, soon, () =>
        fake.acks.findLast((one) => one.applied_generation === generation),
      ),
    stop: async () => {
      const closing = server?.close(0);
      server = undefined;
      await closing;
    },
    start: async () => {
      server = await listen(
        { host, port },
        routes(fake, node, () => news.promise),
        (error) => {
          throw error;
        },
      );
    },
  };
  await fake.start();
  t.teardown(() => {
    wake();
    return fake.stop();
  });
  return fake;
}

function routes(fake: FakeRegistry, node: number, news: () => Promise<void>) {
  return {
    [`/api/internal/nodes/${node}/dns/changes`]: async (search: string) => {
      const asked = new URLSearchParams(search);
      fake.asked.push(asked);
      if (isCurrent(fake.state, asked) && Number(asked.get("wait") ?? 0) > 0) await news();
      const reply = replyTo(fake.state, asked);
      return jsonReply(200, fake.tamper === undefined ? reply : fake.tamper(reply, asked));
    },
    [`/api/internal/nodes/${node}/dns/ack`]: {
      POST: ({ body }: { body: Buffer }) => {
        const said = JSON.parse(body.toString("utf8")) as AckRequest;
        fake.acks.push(said);
        if (fake.ackStatus !== 200) return textReply(fake.ackStatus, "refused");
        return jsonReply(200, {
          node_id: node,
          applied_generation: said.applied_generation,
          server_generation: fake.state.generation,
        });
      },
    },
  };
}

const hashes = new WeakMap<
  ReadonlyMap<number, Endpoint>,
  { of: number; size: number; hash: string }
>();

/** The hash of the records, counted once for each generation of a large zone. */
function hashIn({ generation, records }: FakeState): string {
  const known = hashes.get(records);
  const isLarge = records.size > 1000;
  if (isLarge && known?.of === generation && known.size === records.size) return known.hash;
  const hash = formatHash(hashOf(records.values()));
  hashes.set(records, { of: generation, size: records.size, hash });
  return hash;
}

function isCurrent(state: FakeState, asked: URLSearchParams): boolean {
  return (
    Number(asked.get("since")) === state.generation &&
    state.generation > 0 &&
    (asked.get("epoch") ?? state.epoch) === state.epoch &&
    (asked.get("hash") ?? hashIn(state)) === hashIn(state)
  );
}

function replyTo(state: FakeState, asked: URLSearchParams): ChangesReply {
  const since = Number(asked.get("since"));
  const { epoch, generation, records, removed } = state;
  const isOther = (asked.get("epoch") ?? epoch) !== epoch;
  const differs = since === generation && !isCurrent(state, asked);
  const whole = since <= 0 || since > generation || isOther || differs;
  return {
    generation,
    full_snapshot: whole,
    records: [...records.values()].filter((one) => whole || one.generation > since),
    removed_ids: whole ? [] : [...removed].flatMap(([id, at]) => (at > since ? [id] : [])),
    epoch,
    zone_hash: hashIn(state),
  };
}
