/**
 * The names of an environment's backends as a router is to have them: what is wanted, what counts as an
 * answer, and the lines that an operator reads of it.
 */
import type { Test } from "tap";
import { followNames } from "../../../router/backends/keeper/follow.ts";
import type { Following } from "../../../router/backends/keeper/follow.ts";
import { namesLines } from "../../../router/backends/keeper/names-lines.ts";
import { testEnvironment } from "../../support/environment.ts";
import { failed, found, rig } from "./resolution-rig.ts";
import type { Rig } from "./resolution-rig.ts";

const [a, b] = ["10.0.0.1", "10.0.0.2"] as const;

interface Followed extends Rig {
  readonly following: Following;
  /** Backends that were said to be wanted otherwise. */
  readonly changed: string[];
}

/** Two backends: `web` with the names one and two, `other` with three; `keys` are those of two. */
async function followed(keys: string, answers: (names: Rig["names"]) => void): Promise<Followed> {
  const one = rig();
  answers(one.names);
  const backend = (name: string, port: number, targets: string): string =>
    `{ name: ${name}, port: ${port}, targets: [${targets}] }`;
  const { backends } = await testEnvironment({
    backends: [
      backend("web", 9200, `{ hostname: one, port: 80 }, { hostname: two, port: 80, ${keys} }`),
      backend("other", 9201, "{ hostname: three, port: 80 }"),
    ],
  });
  const changed: string[] = [];
  one.resolution.start();
  const following = followNames(backends, one.resolution, (name) => void changed.push(name));
  await following.begun;
  return { ...one, following, changed };
}

const ips = ({ following }: Followed, name: string): string =>
  following
    .wanted(name)
    .servers.map(({ ip }) => ip)
    .join(" ");

/** What failures of the name two make of the removal of others, from the start on. */
const failures: readonly {
  readonly name: string;
  readonly keys: string;
  readonly lookups: readonly ("nxdomain" | "servfail")[];
  readonly want: boolean;
}[] = [
  {
    name: "kept: nothing is known of it",
    keys: "",
    lookups: ["nxdomain", "nxdomain"],
    want: false,
  },
  { name: "dropped", keys: "onNxdomain: drop", lookups: ["nxdomain"], want: true },
  { name: "another failure", keys: "onNxdomain: drop", lookups: ["servfail"], want: false },
  { name: "not yet", keys: "onNxdomain: { times: 2 }", lookups: ["nxdomain"], want: false },
  {
    name: "often enough",
    keys: "onNxdomain: { times: 2 }",
    lookups: ["nxdomain", "nxdomain"],
    want: true,
  },
];

const proofs: Readonly<Record<string, (t: Test) => Promise<void>>> = {
  "what is wanted is made when it changes, and not for every look": async (t) => {
    const one = await followed("", (names) => {
      for (const name of ["one", "two", "three"]) names.set(name, found(a));
    });
    const before = one.following.wanted("web");
    t.equal(one.following.wanted("web"), before, "the same object");
    t.match(before, { isWhole: true, servers: [{ ip: a, port: 80, weight: 200 }] });
    one.changed.length = 0;
    one.names.set("three", found(b));
    await one.following.resolveNow();
    t.same([one.changed, ips(one, "other")], [["other"], b]);
    t.equal(one.following.wanted("web"), before, "another backend's change is not its own");
    one.names.set("two", found(b));
    await one.following.resolveNow();
    t.equal(ips(one, "web"), `${a} ${b}`);
    t.same(
      one.following
        .states()
        .map(({ backend, hostname, status }) => [`${backend}/${hostname}`, status?.lastIps.join()]),
      [
        ["web/one", a],
        ["web/two", b],
        ["other/three", b],
      ],
    );
    await one.resolution.stop();
  },
  "a name that its rules give up is as good as answered": async (t) => {
    for (const { name, keys, lookups, want } of failures) {
      const [first = "servfail"] = lookups;
      const one = await followed(keys, (names) => {
        names.set("one", found(a));
        names.set("two", failed(first));
        names.set("three", found(a));
      });
      for (const kind of lookups.slice(1)) {
        one.names.set("two", failed(kind));
        await one.resolution.forceResolve("web", "two");
      }
      t.equal(one.following.wanted("web").isWhole, want, name);
      t.equal(one.following.wanted("other").isWhole, true);
      t.equal(ips(one, "web"), a);
      await one.resolution.stop();
    }
  },
  "a server that goes down has its names asked, and no others": async (t) => {
    const one = await followed("", (names) => {
      names.set("one", found(a));
      names.set("two", found(b));
      names.set("three", found(b));
    });
    await one.clock.advance(2000);
    one.asked.length = 0;
    one.following.reportDown("web", b);
    await one.clock.settle();
    t.same(
      one.asked.map(({ hostname }) => hostname),
      ["two"],
    );
    await one.resolution.stop();
  },
  "an operator reads what is new, and no list without an end": async (t) => {
    const one = await followed("", (names) => {
      names.set("one", found(...Array.from({ length: 30 }, (_, at) => `10.0.1.${at}`)));
      names.set("two", failed("servfail"));
      names.set("three", found(a));
    });
    for (const kind of ["servfail", "nxdomain", "nxdomain"] as const) {
      one.names.set("two", failed(kind));
      await one.resolution.forceResolve("web", "two");
    }
    const lines = one.events.flatMap(namesLines).filter(({ hostname }) => hostname !== "three");
    t.match(
      lines.map(({ hostname, says }) => `${hostname} ${says}`).toSorted(),
      [
        /^one is 10\.0\.1\.0, .*, 10\.0\.1\.9 and 20 more, TTL 5 s$/,
        /^two look up: the name server failed \(ESERVFAIL\); nothing stands of it$/,
        /^two look up: there is no such name \(ENOTFOUND\); nothing stands of it$/,
      ],
      "the first failure, and one of another kind",
    );
    t.equal(lines.length, 3);
    await one.resolution.stop();
  },
};

export async function followCases(t: Test): Promise<void> {
  for (const [words, proof] of Object.entries(proofs)) await t.test(words, proof);
}
