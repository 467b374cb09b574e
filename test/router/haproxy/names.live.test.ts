/**
 * Members that are addressed by name, with a DNS server that fails (G4), against every HAProxy at
 * hand. Needs port 53 on a loopback address, so root.
 */
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { startFakeDns } from "../../support/fake-dns.ts";
import type { FakeDns } from "../../support/fake-dns.ts";
import { startFakeMember, visit } from "../../support/fake-member.ts";
import type { FakeMember } from "../../support/fake-member.ts";
import { haproxyPrograms } from "../../support/haproxy.ts";
import type { HaproxyProgram, RunningHaproxy } from "../../support/haproxy.ts";
import { crowd, renderFor, start, untilStatus } from "../../support/rendered-haproxy.ts";
import type { RenderedPlace } from "../../support/rendered-haproxy.ts";

const listenHost = "127.50.31.1";
const dnsHost = "127.50.31.53";
const patience = { deadlineMs: 30_000, intervalMs: 20 };

interface Stage {
  /** What the DNS server answers. */
  readonly names: Record<string, string>;
  readonly dal: FakeMember;
  readonly chi: FakeMember;
  readonly dns: FakeDns;
  readonly rendered: RenderedPlace;
}

async function stage(t: Test, program: HaproxyProgram): Promise<Stage> {
  const dal = await startFakeMember("dal-01", "127.50.30.1", "primary");
  t.teardown(dal.stop);
  const chi = await startFakeMember("chi-02", "127.50.30.2", "standby");
  t.teardown(chi.stop);
  const names: Record<string, string> = {
    "dal.pg.test": "127.50.30.1",
    "chi.pg.test": "127.50.30.2",
  };
  const dns = await startFakeDns(dnsHost, names);
  t.teardown(dns.stop);
  const rendered = await renderFor(program, {
    hosts: ["dal.pg.test", "chi.pg.test"],
    listenHost,
    haproxy: `resolver: "${dnsHost}:53"`,
  });
  return { names, dal, chi, dns, rendered };
}

async function begin(t: Test, rendered: RenderedPlace): Promise<RunningHaproxy> {
  const haproxy = await start(rendered);
  t.teardown(haproxy.stop);
  return haproxy;
}

const programs = process.getuid?.() === 0 ? await haproxyPrograms() : [];
if (programs.length === 0) t.pass("port 53 is for root", { skip: "needs root" });

for (const program of programs) {
  t.test(`HAProxy ${program.version}`, async (t) => {
    t.test("G4 a DNS outage cuts nothing", async (t) => {
      const { dal, dns, rendered } = await stage(t, program);
      const haproxy = await begin(t, rendered);
      await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
      const session = await visit(listenHost, 6433, 20_000);
      t.equal(session.landed, "dal-01");
      dns.mode = "nxdomain";
      const asked = dns.asked();
      await eventually("many failed questions", patience, () =>
        dns.asked() > asked + 20 ? true : undefined,
      );
      t.equal(dal.open(), 1, "the session lives");
      t.equal((await visit(listenHost, 6433)).landed, "dal-01");
    });

    t.test("a name that gets another address is followed, in every section", async (t) => {
      const { dal, names, rendered } = await stage(t, program);
      const haproxy = await begin(t, rendered);
      await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
      // HAProxy gives an address to one server of a section alone, unless it is told otherwise.
      await untilStatus(haproxy, "pg-replica/primary.dal-01", /^UP/);
      await dal.stop();
      const moved = await startFakeMember("dal-moved", "127.50.30.3", "primary");
      t.teardown(moved.stop);
      await untilStatus(haproxy, "pg-primary/dal-01", /^DOWN/);
      names["dal.pg.test"] = "127.50.30.3";
      await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
      t.equal((await visit(listenHost, 6433, 20_000)).landed, "dal-moved");
      await untilStatus(haproxy, "pg-replica/primary.dal-01", /^UP/);
    });

    t.test("G4 the same outage with a short hold does cut, so the test can fail", async (t) => {
      const { dns, rendered } = await stage(t, program);
      const text = rendered.text.replaceAll("24h", "1s");
      const haproxy = await begin(t, { ...rendered, text });
      await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
      const session = await visit(listenHost, 6433, 20_000);
      t.equal(session.landed, "dal-01");
      dns.mode = "nxdomain";
      await session.ended;
      await untilStatus(haproxy, "pg-primary/dal-01", /^MAINT/);
    });

    t.test(
      "G1 G4 names that become known after the start bring nobody to the standby",
      async (t) => {
        const { dal, chi, dns, rendered } = await stage(t, program);
        dns.mode = "silent";
        const haproxy = await begin(t, rendered);
        await untilStatus(haproxy, "pg-primary/dal-01", /^MAINT/);
        await untilStatus(haproxy, "boot-window/open", /^DOWN/);
        const clients = crowd(listenHost, 6433);
        dns.mode = "answer";
        await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
        await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
        await eventually("writes", patience, () => (dal.landed() > 20 ? true : undefined));
        await clients.end();
        t.equal(chi.landed(), 0);
      },
    );
  });
}
