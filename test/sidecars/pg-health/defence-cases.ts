/** The split-brain defence: every row of the table in docs/pg-health.md, and what leads there. */
import t from "tap";
import {
  defend,
  newPeer,
  peerReplied,
  peerSilent,
  stillToAnswer,
} from "../../../sidecars/pg-health/defence.ts";
import type { PeerMemory, PeerReply } from "../../../sidecars/pg-health/defence.ts";
import type { Self } from "../../../sidecars/pg-health/self.ts";

const system = "7710476093781296720";
const at = (minute: number): string =>
  `2026-01-01T00:${String(minute).padStart(2, "0")}:00.000000Z`;
const url = "http://10.0.0.2:8008";

const me: Self = {
  role: "primary",
  systemIdentifier: system,
  timeline: 1,
  startedAt: at(10),
  promotedAt: null,
  primarySince: 1000,
};

interface Peer {
  role?: "primary" | "standby";
  timeline?: number;
  startedAt?: string;
  promotedAt?: string | null;
  system?: string;
  answer?: PeerReply["answer"];
  link?: PeerReply["link"];
  askedAt?: number;
}

function reply(peer: Peer): PeerReply {
  const role = peer.role ?? "primary";
  return {
    askedAt: peer.askedAt ?? 2000,
    link: peer.link ?? "up",
    answer: peer.answer ?? role,
    postgres: {
      role,
      readOnly: false,
      systemIdentifier: peer.system ?? system,
      timeline: peer.timeline ?? 1,
      startedAt: peer.startedAt ?? at(0),
      writeLsn: role === "primary" ? "0/1" : null,
      receiveLsn: null,
      replayLsn: null,
      lagBytes: null,
      lagMs: null,
      promotedAt: peer.promotedAt ?? null,
    },
  };
}

/** What is remembered after these replies, each heard while this member was `self`. */
function after(...heard: [peer: Peer | "silence", self: Self | null][]): PeerMemory {
  return heard.reduce<PeerMemory>(
    (memory, [peer, self]) =>
      peer === "silence" ? peerSilent(memory) : peerReplied(memory, reply(peer), self),
    newPeer(url),
  );
}

const asStandby: Self = { ...me, role: "standby", primarySince: null };

t.test("one peer, one reply", async (t) => {
  const rows: { name: string; self?: Partial<Self>; peer: Peer; want: string }[] = [
    { name: "a standby", peer: { role: "standby" }, want: "clear" },
    {
      name: "a standby on a newer timeline",
      peer: { role: "standby", timeline: 2 },
      want: "clear",
    },
    { name: "another system's primary", peer: { timeline: 9, system: "1" }, want: "clear" },
    { name: "a primary on the same timeline", peer: {}, want: "split-brain" },
    {
      name: "newer, promoted before this one started",
      peer: { timeline: 2, promotedAt: at(9) },
      want: "fenced",
    },
    {
      name: "newer, promoted while this one ran",
      peer: { timeline: 2, promotedAt: at(11) },
      want: "split-brain",
    },
    { name: "newer, nobody knows since when", peer: { timeline: 2 }, want: "fenced" },
    {
      name: "older, started after this one's promotion",
      self: { timeline: 2, promotedAt: at(5) },
      peer: { startedAt: at(6) },
      want: "clear",
    },
    {
      name: "older, and it ran on while this one was promoted",
      self: { timeline: 2, promotedAt: at(5) },
      peer: { startedAt: at(4) },
      want: "split-brain",
    },
    {
      name: "older, nobody knows since when",
      self: { timeline: 2 },
      peer: { startedAt: at(4) },
      want: "clear",
    },
    {
      name: "older, and it says split-brain itself",
      self: { timeline: 2 },
      peer: { answer: "split-brain" },
      want: "split-brain",
    },
    {
      name: "older, and it says fenced itself",
      self: { timeline: 2 },
      peer: { answer: "fenced" },
      want: "clear",
    },
    {
      name: "a primary that its own pg-health calls unreachable (its pooler is dead)",
      peer: { answer: "unreachable" },
      want: "split-brain",
    },
    {
      name: "a primary that is read-only for now",
      peer: { answer: "read-only" },
      want: "split-brain",
    },
    { name: "a primary that is down", peer: { link: "down" }, want: "clear" },
    { name: "a primary that does not answer", peer: { link: "silent" }, want: "clear" },
    {
      name: "same timeline, seen before this one became a primary",
      peer: { askedAt: 999 },
      want: "clear",
    },
    {
      name: "older, seen before this one became a primary (a flip)",
      self: { timeline: 2, promotedAt: at(20) },
      peer: { askedAt: 999, startedAt: at(0) },
      want: "clear",
    },
    {
      name: "newer, seen before this one became a primary: it is newer all the same",
      peer: { timeline: 2, askedAt: 999 },
      want: "fenced",
    },
    {
      name: "a standby is never told to stand back",
      self: { role: "standby", primarySince: null },
      peer: { timeline: 2 },
      want: "clear",
    },
  ];
  for (const { name, self, peer, want } of rows) {
    const own = { ...me, ...self };
    t.equal(defend(own, [after([peer, own])]).word, want, name);
  }
});

t.test("what was seen happening needs no clock", async (t) => {
  const newer: Peer = { timeline: 2 };
  t.equal(
    defend(me, [after([{ role: "standby" }, me], [newer, me])]).word,
    "split-brain",
    "the peer was a standby while this one ran, and is the newer primary now",
  );
  const restarted = { ...me, startedAt: at(30) };
  t.equal(
    defend(restarted, [after([{ role: "standby" }, me], [newer, restarted])]).word,
    "fenced",
    "but this one has stopped in between",
  );
  const promoted = { ...me, timeline: 2 };
  t.equal(
    defend(promoted, [after([{ askedAt: 900 }, asStandby], [{}, promoted])]).word,
    "split-brain",
    "the peer was this one's primary, and still runs since the same start",
  );
  t.equal(
    defend(promoted, [after([{ askedAt: 900 }, asStandby], [{ startedAt: at(20) }, promoted])])
      .word,
    "clear",
    "but the peer has been started anew since",
  );
});

t.test("silence releases nothing", async (t) => {
  const newer: Peer = { timeline: 2, promotedAt: at(9) };
  t.equal(defend(me, [after([newer, me], ["silence", me])]).word, "fenced");
  t.equal(defend(me, [after([newer, me], [{ ...newer, link: "silent" }, me])]).word, "fenced");
  t.equal(defend(me, [after([{}, me], ["silence", me])]).word, "split-brain");
  t.equal(defend(me, [after([{}, me], [{ link: "silent" }, me])]).word, "split-brain");
});

t.test("what releases", async (t) => {
  const newer: Peer = { timeline: 2, promotedAt: at(9) };
  const ran: Peer = { timeline: 2, promotedAt: at(11) };
  const rows: { name: string; heard: Peer[]; want: string }[] = [
    {
      name: "fenced: the newer one is a standby now",
      heard: [newer, { role: "standby" }],
      want: "clear",
    },
    {
      name: "fenced: the newer one only restarts",
      heard: [newer, { ...newer, link: "down" }],
      want: "fenced",
    },
    {
      name: "split-brain: the peer is a standby now",
      heard: [{}, { role: "standby" }],
      want: "clear",
    },
    { name: "split-brain: the peer was stopped", heard: [{}, { link: "down" }], want: "clear" },
    {
      name: "split-brain by promotion: the peer was stopped",
      heard: [ran, { ...ran, link: "down" }],
      want: "clear",
    },
    {
      name: "split-brain: the stopped peer came back",
      heard: [{}, { link: "down" }, {}],
      want: "split-brain",
    },
    { name: "the peer belongs to another system now", heard: [{}, { system: "1" }], want: "clear" },
  ];
  for (const { name, heard, want } of rows) {
    const memory = after(...heard.map((peer): [Peer, Self] => [peer, me]));
    t.equal(defend(me, [memory]).word, want, name);
  }
  const rebuilt = { ...me, timeline: 2, primarySince: 5000 };
  t.equal(defend(rebuilt, [after([newer, me])]).word, "clear", "this one is on that timeline now");
});

t.test("the worst of several peers counts", async (t) => {
  const clear = after([{ role: "standby" }, me]);
  const fenced = after([{ timeline: 2, promotedAt: at(9) }, me]);
  const split = after([{}, me]);
  t.equal(defend(me, []).word, "clear");
  t.equal(defend(me, [clear, fenced]).word, "fenced");
  t.equal(defend(me, [fenced, split, clear]).word, "split-brain");
  t.match(defend(me, [fenced]).reason, "10.0.0.2");
});

t.test("never two: whatever two members have seen, they do not both take writes", async (t) => {
  // Every pair of primaries that see each other as they are now, in every state of knowledge.
  const knownTimes = [null, at(5), at(15), at(25)];
  let pairs = 0;
  for (const [left, right] of [
    [1, 1],
    [1, 2],
    [2, 1],
    [3, 2],
  ] as const) {
    for (const leftAt of knownTimes) {
      for (const rightAt of knownTimes) {
        for (const rightStart of [at(0), at(10), at(20)]) {
          const a: Self = { ...me, timeline: left, promotedAt: leftAt };
          const b: Self = { ...me, timeline: right, promotedAt: rightAt, startedAt: rightStart };
          const asPeer = (one: Self): Peer => ({
            timeline: one.timeline,
            startedAt: one.startedAt,
            promotedAt: one.promotedAt,
          });
          const first = defend(a, [after([asPeer(b), a])]).word;
          const second = defend(b, [after([asPeer(a), b])]).word;
          t.notOk(first === "clear" && second === "clear", JSON.stringify({ a, b }));
          pairs += 1;
        }
      }
    }
  }
  t.equal(pairs, 4 * 4 * 4 * 3);
});

t.test("whom a fresh primary still waits for", async (t) => {
  const asked = after([{ askedAt: 2000 }, me]);
  t.strictSame(stillToAnswer([newPeer(url)], 0), [newPeer(url)], "never asked");
  t.strictSame(stillToAnswer([asked], 2001), [asked], "asked before it was fresh");
  t.strictSame(stillToAnswer([asked], 2000), [], "asked since");
  t.strictSame(
    stillToAnswer([after([{ link: "down", askedAt: 2000 }, me])], 2000),
    [],
    "any reply",
  );
  t.strictSame(stillToAnswer([peerSilent(asked)], 2000), [], "an answer once is enough");
});
