/** Whose source a store has to hear of before it may take away what an agent has. */
import t from "tap";
import { systemClock } from "../../kit/clock.ts";
import { createHearing } from "../../registry/hearing.ts";
import { unknownRoles } from "../../registry/roles/roles.ts";
import type { Head, StoredCluster } from "../../registry/store/store.ts";

const head: Head = { epoch: "e1", generation: 7, zoneHash: "aa", recordCount: 3 };
const at = (ms: number): string => new Date(ms).toISOString();

const probe = {
  ...({ kind: "probe", user: "u", password_file: "/pw", interval_ms: 1000 } as const),
  ...({ database: "postgres", tls: "disable" } as const),
};
const member = {
  ...{ id: 1, name: "dal-01", ordinal: 1, address: "10.0.0.1", port: 5432 },
  ...{ node: null, published_port: null },
};

/** A cluster whose source was heard of at that time. */
function cluster(name: string, seenAt: number | null, more: Partial<StoredCluster> = {}) {
  const roles = { ...unknownRoles, seen_at: seenAt === null ? null : at(seenAt) };
  return { id: 1, name, source: probe, lag_bytes: null, members: [member], roles, ...more };
}

await t.test(
  "sources are waited for from the start, and again when the store falls back",
  async (t) => {
    let now = 100_000;
    let clusters: readonly StoredCluster[] = [
      cluster("never", null),
      cluster("before", 99_999),
      cluster("since", 100_001),
      cluster("without", null, { source: { kind: "none" } }),
      cluster("empty", null, { members: [] }),
    ];
    let looks = 0;
    let tell: (head: Head) => void = () => undefined;
    const hearing = createHearing({
      store: {
        clusters: () => {
          looks += 1;
          return Promise.resolve(clusters);
        },
      },
      zone: {
        onHead: (listener) => {
          tell = listener;
          return () => true;
        },
      },
      clock: { ...systemClock, now: () => now },
    });
    tell(head);
    const both = await Promise.all([hearing.missing(), hearing.missing()]);
    t.same(both, [
      ["never", "before"],
      ["never", "before"],
    ]);
    t.equal(looks, 1, "who asks at the same time shares one look");
    clusters = [cluster("never", 100_002), cluster("before", 100_000)];
    t.same(await hearing.missing(), []);
    t.same(await hearing.missing(), []);
    t.equal(looks, 2, "all were heard of");

    now = 200_000;
    tell({ ...head, generation: 8 });
    t.same(await hearing.missing(), [], "it has gone on");
    tell({ ...head, generation: 6 });
    t.same(await hearing.missing(), ["never", "before"], "it has fallen back");
    clusters = [cluster("never", 200_001), cluster("before", 200_001)];
    t.same(await hearing.missing(), []);
    now = 300_000;
    tell({ ...head, epoch: "e2", generation: 9 });
    t.same(await hearing.missing(), ["never", "before"], "it is another one");
  },
);
