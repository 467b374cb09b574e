/** What a test of faults sees of a lab past its own tools, by the driver that runs it. */
import type { Test } from "tap";
import { runChild } from "../../kit/child.ts";
import { openEngine } from "../../kit/docker.ts";
import type { DriverKind } from "../../lab/addresses.ts";
import { addressesOf, containerName } from "../../lab/driver/docker-names.ts";
import { ownHostChain } from "../../lab/driver/docker-packets.ts";
import { chainName, tableName } from "../../lab/driver/packet-rules.ts";
import { processesOf } from "../../lab/driver/processes.ts";
import type { TestLab } from "./lab.ts";

export interface LabEyes {
  /** How many processes a part has. */
  count(part: string): Promise<number>;
  /** How many of them can do nothing. */
  held(part: string): Promise<number>;
  /** Packets between two ends that a cut has swallowed: those to a server of one, and from it. */
  lost(one: string, other: string, server: string): Promise<{ to: number; from: number }>;
  /** The chains of the cuts that stand. */
  cuts(): Promise<string[]>;
}

interface Rule {
  readonly text: string;
  readonly packets: number;
}

type Family = "ip" | "bridge";

async function rulesOf(family: Family, lab: TestLab, chain: string): Promise<Rule[]> {
  const words = ["list", "chain", family, tableName(lab.name), chain];
  const { stdout } = await runChild("/usr/sbin/nft", words, { deadlineMs: 30_000 });
  const rules = stdout.matchAll(/^\s*(.*) counter packets ([0-9]+)/gm);
  return [...rules].map((match) => ({ text: match[1] ?? "", packets: Number(match[2]) }));
}

async function chainsIn(family: Family, lab: TestLab): Promise<string[]> {
  const words = ["list", "table", family, tableName(lab.name)];
  const listed = await runChild("/usr/sbin/nft", words, { deadlineMs: 30_000, accept: [0, 1] });
  return [...listed.stdout.matchAll(/^\s*chain (\S+) \{/gm)].map((match) => match[1] ?? "");
}

const packetsOf = (rules: readonly Rule[], matches: (text: string) => boolean): number =>
  rules.filter(({ text }) => matches(text)).reduce((sum, { packets }) => sum + packets, 0);

function processEyes(_t: Pick<Test, "teardown">, lab: TestLab): LabEyes {
  const seen = (part: string) => processesOf([lab.part(part)]).get(lab.part(part).name) ?? [];
  return {
    count: async (part) => seen(part).length,
    held: async (part) => seen(part).filter((one) => one.stopped).length,
    lost: async (one, other, server) => {
      const rules = await rulesOf("ip", lab, chainName(one, other));
      const ends = lab.part(server).listens;
      const passes = (word: "saddr" | "daddr", port: "sport" | "dport") => (text: string) =>
        ends.some((end) => text.includes(`ip ${word} ${end.host} tcp ${port} ${end.port}`));
      return {
        to: packetsOf(rules, passes("daddr", "dport")),
        from: packetsOf(rules, passes("saddr", "sport")),
      };
    },
    cuts: () => chainsIn("ip", lab),
  };
}

function dockerEyes(t: Pick<Test, "teardown">, lab: TestLab): LabEyes {
  const engine = openEngine({ url: lab.place.engine });
  t.teardown(() => engine.close());
  const nameOf = (part: string): string => containerName(lab.model, lab.part(part));
  const processes = async (part: string): Promise<number> => {
    const facts = await engine.inspect(nameOf(part));
    if (facts === null || facts.pid === 0) return 0;
    return (await engine.processes(nameOf(part))).length;
  };
  return {
    count: processes,
    held: async (part) =>
      (await engine.inspect(nameOf(part)))?.status === "paused" ? await processes(part) : 0,
    lost: async (one, other, server) => {
      const rules = await rulesOf("bridge", lab, chainName(one, other));
      const own = addressesOf(lab.model, [lab.part(server)]);
      const set = (word: string, text: string): string =>
        new RegExp(`ip ${word} (\\{[^}]*\\}|\\S+)`).exec(text)?.[1] ?? "";
      const among = (word: string) => (text: string) =>
        own.some((address) =>
          set(word, text)
            .split(/[{}, ]+/)
            .includes(address),
        );
      return { to: packetsOf(rules, among("daddr")), from: packetsOf(rules, among("saddr")) };
    },
    cuts: async () => (await chainsIn("bridge", lab)).filter((chain) => chain !== ownHostChain),
  };
}

const eyesByDriver: Readonly<Record<DriverKind, typeof dockerEyes>> = {
  process: processEyes,
  docker: dockerEyes,
};

/** The eyes for a lab, whichever driver runs it; they are closed with `t`. */
export function eyesOn(t: Pick<Test, "teardown">, lab: TestLab): LabEyes {
  return eyesByDriver[lab.model.driver](t, lab);
}
