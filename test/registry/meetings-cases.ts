/** What the registry makes of two things that happen at the same moment, in the order that hurts most. */
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import t from "tap";
import { systemClock } from "../../kit/clock.ts";
import { Polls } from "../../registry/polls.ts";
import { agentRoutes } from "../../registry/routes-agent.ts";
import type { Asked, RegistryParts } from "../../registry/routes.ts";
import { createListeners } from "../../registry/store/listeners.ts";
import type { Head, StoredNode } from "../../registry/store/store.ts";
import { hashToken, Tokens } from "../../registry/tokens.ts";
import { lookNow } from "../../registry/waits.ts";
import { ZoneView } from "../../registry/zone-view.ts";

const headAt = (generation: number): Head => ({
  ...{ epoch: "e1", generation, zoneHash: `${generation}`, recordCount: generation },
});
const denied = { code: "ERR_REGISTRY_REQUEST", status: 401, title: "Invalid Token" };
const node: StoredNode = {
  ...{ id: 7, name: "app-01", address: null, tokenHash: hashToken("right"), revoked: false },
  ...{ appliedGeneration: 0, appliedAt: null, lastSyncAt: null, recordCount: null, errors: [] },
};

const never = Promise.reject(new Error("nobody asks for it"));
never.catch(() => undefined);

t.test("a revocation that is told while a token is looked up counts", async (t) => {
  const reads: PromiseWithResolvers<StoredNode>[] = [];
  const store = {
    isAdminToken: () => Promise.resolve(false),
    node: () => {
      const read = Promise.withResolvers<StoredNode>();
      reads.push(read);
      return read.promise;
    },
  };
  const tokens = new Tokens(store, systemClock);
  const asked = tokens.node("Bearer right", node.id);
  tokens.forget(node.id);
  reads[0]?.resolve(node);
  await Promise.resolve();
  await Promise.resolve();
  reads[1]?.resolve({ ...node, revoked: true });
  await t.rejects(asked, denied);
  t.equal(reads.length, 2);

  const again = tokens.node("Bearer right", node.id);
  tokens.forget(node.id + 1);
  reads[2]?.resolve(node);
  await again;
  t.equal(reads.length, 3, "what is told of other nodes makes nobody read again");
});

t.test("a poll is not held for a node that is revoked while its right is looked at", async (t) => {
  const head = headAt(3);
  const zone = { fresh: () => Promise.resolve(head), head, onHead: () => () => true };
  const polls = new Polls(zone as unknown as ZoneView, systemClock);
  t.teardown(() => polls.end());
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const tokens = {
    node: () => {
      // All that comes of a revocation, before who looked has heard that all was well.
      polls.revoke(node.id);
      return Promise.resolve();
    },
  };
  const parts = { zone, polls, tokens } as unknown as RegistryParts;
  const asked = {
    ...{ params: { node_id: "7" }, query: { since: "3", wait: "40" } },
    response,
  } as unknown as Asked;
  await agentRoutes[0]?.answer(asked, parts);
  t.equal(polls.size, 0);
  t.equal(response.statusCode, denied.status);
});

t.test(
  "reads of the zone's state follow each other, and none is older than its asker",
  async (t) => {
    let generation = 0;
    let reading = 0;
    let most = 0;
    const ends: (() => void)[] = [];
    const head = async (): Promise<Head> => {
      const seen = headAt(generation);
      reading += 1;
      most = Math.max(most, reading);
      const { promise, resolve } = Promise.withResolvers<void>();
      ends.push(resolve);
      await promise;
      reading -= 1;
      return seen;
    };
    const none = {
      snapshot: () => never,
      changesSince: () => never,
      subscribe: () => () => undefined,
    };
    const zone = new ZoneView({ ...none, head }, () => undefined);
    t.teardown(() => zone.close());
    // Some ask in each of the steps in which the read before them ends.
    for (let step = 0; step < 12; step += 1) {
      const asked: Promise<readonly [number, Head]>[] = [];
      const ask = (): void => {
        generation += 1;
        const least = generation;
        asked.push(zone.fresh().then((found) => [least, found] as const));
      };
      ask();
      ask();
      ends.shift()?.();
      for (let turn = 0; turn < step; turn += 1) await Promise.resolve();
      ask();
      ask();
      const over = Promise.all(asked);
      for (let turn = 0; turn < 200; turn += 1) {
        ends.shift()?.();
        await Promise.resolve();
      }
      for (const [least, found] of await over) t.ok(found.generation >= least, `step ${step}`);
    }
    t.equal(most, 1, "one at a time");
  },
);

t.test("a request for a look that nobody heard is made again", async (t) => {
  const listeners = createListeners();
  const asked: string[] = [];
  const roles = { outcome: "unknown", reasons: [], primary: null, standbys: [], seen_at: null };
  const reply = { generation: 4, epoch: "e1", changed: false, roles };
  const bus: Parameters<typeof lookNow>[0] = {
    subscribe: listeners.subscribe,
    publish: async (_, payload) => {
      asked.push(payload);
      const { request } = JSON.parse(payload) as { request: string };
      const said = JSON.stringify({ request, reply });
      if (asked.length === 2) listeners.tell({ topic: "reconciled", payload: said });
      await Promise.resolve();
    },
  };
  const { signal } = new AbortController();
  t.match(await lookNow(bus, "db", signal), { generation: 4, changed: false });
  t.equal(asked.length, 2);
  t.equal(asked[0], asked[1], "as one and the same");
});
