/**
 * What is read from a member's host without a word from Postgres: the control file as bytes, against
 * files of real servers, and the verdict on its processes, on which a promotion depends.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { formatLsn } from "../../../../kit/lsn.ts";
import type { HostLook, SeenProcess } from "../../../../router/postgres/control/channel.ts";
import type { ControlFile } from "../../../../router/postgres/control/contract.ts";
import { readControlFile } from "../../../../router/postgres/control/control-file.ts";
import {
  judgeProcess,
  nameProcesses,
  readPostmasterFile,
} from "../../../../router/postgres/control/judge.ts";

const folder = "test/fixtures/control-files";

interface Recorded {
  readonly name: string;
  readonly bytes: Buffer;
  /** A line of pg_controldata by its label. */
  readonly says: (label: string) => string;
}

/** Control files of real servers, each with what pg_controldata said about it. */
async function recorded(): Promise<Recorded[]> {
  const names = (await readdir(folder)).toSorted();
  return await Promise.all(
    names.map(async (name) => {
      const lines = (await readFile(join(folder, name), "utf8")).split("\n");
      const encoded = lines.filter((line) => /^[A-Za-z0-9+/=]+$/.test(line)).join("");
      const says = (label: string): string =>
        lines
          .find((line) => line.startsWith(`${label}:`))
          ?.slice(label.length + 1)
          .trim() ?? "";
      return { name, bytes: Buffer.from(encoded, "base64"), says };
    }),
  );
}

function whyNot(bytes: Uint8Array): string {
  const read = readControlFile(bytes);
  return "why" in read ? read.why : "";
}

/** CRC-32C bit by bit, as its definition has it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0x82f6_3b78 & -(crc & 1));
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

t.test("the control files of real servers read as pg_controldata prints them", async (t) => {
  const files = await recorded();
  t.equal(checksum(Buffer.from("123456789")), 0xe306_9283, "the test's own checksum is right");
  t.ok(files.length >= 8);
  for (const { name, bytes, says } of files) {
    const read = readControlFile(bytes);
    if ("why" in read) {
      t.fail(`${name}: ${read.why}`);
      continue;
    }
    const { control } = read;
    t.strictSame(
      {
        ...control,
        checkpoint: formatLsn(control.checkpoint),
        minRecoveryEnd: formatLsn(control.minRecoveryEnd),
      },
      {
        state: says("Database cluster state"),
        checkpoint: says("Latest checkpoint location"),
        timeline: Number(says("Latest checkpoint's TimeLineID")),
        systemIdentifier: says("Database system identifier"),
        minRecoveryEnd: says("Minimum recovery ending location"),
        minRecoveryTimeline: Number(says("Min recovery ending loc's timeline")),
        canRewind:
          says("wal_log_hints setting") === "on" || says("Data page checksum version") !== "0",
      },
      name,
    );
  }
});

t.test("a control file that is not whole, not right or not known is not read", async (t) => {
  const [file] = await recorded();
  const whole = file?.bytes ?? Buffer.alloc(0);
  const lengths = Array.from({ length: 292 }, (_, length) => length);
  t.strictSame(
    lengths.filter((length) => whyNot(whole.subarray(0, length)) === ""),
    [],
    "lengths at which a part of it was taken",
  );
  t.equal(whyNot(whole.subarray(0, 292)), "");
  const bits = Array.from({ length: 292 * 8 }, (_, bit) => bit);
  const taken = bits.filter((bit) => {
    const bent = Buffer.from(whole);
    bent.writeUInt8(bent.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    return whyNot(bent) === "";
  });
  t.strictSame(taken, [], "bits that could be another without being seen");
  t.equal(whyNot(Buffer.alloc(8192)), "its version is 0; known are 1201, 1300, 1700, 1800");
  const swapped = Buffer.from(whole);
  swapped.subarray(8, 12).reverse();
  t.equal(whyNot(swapped), "it was written in another byte order");
});

/** A control file of another version, with the same content and a checksum that holds. */
function asVersion(bytes: Buffer, version: number, crcAt: number): Buffer {
  const changed = Buffer.alloc(8192);
  bytes.copy(changed, 0, 0, 256);
  changed.writeUInt32LE(version, 8);
  changed.writeUInt32LE(checksum(changed.subarray(0, crcAt)), crcAt);
  return changed;
}

t.test("each version has its checksum where its struct has it", async (t) => {
  const [file] = await recorded();
  const bytes = file?.bytes ?? Buffer.alloc(0);
  for (const [version, crcAt, wrong] of [
    [1201, 288, 292],
    [1300, 288, 292],
    [1700, 288, 292],
    [1800, 292, 288],
  ] as const) {
    t.equal(whyNot(asVersion(bytes, version, crcAt)), "", `${version}`);
    t.equal(whyNot(asVersion(bytes, version, wrong)), "its CRC does not hold", `${version}`);
  }
  t.match(whyNot(asVersion(bytes, 1900, 288)), /its version is 1900/);
  const strange = Buffer.from(bytes);
  strange.writeUInt32LE(9, 16);
  t.equal(whyNot(asVersion(strange, 1300, 288)), "it holds the unknown state 9");
});

/** Processes of one Postgres: 100 is the postmaster's pid. */
function processes(...titles: string[]): SeenProcess[] {
  return titles.map((title, index) => ({
    pid: 100 + index,
    stat: `${100 + index} (postgres) S ${index === 0 ? 1 : 100} 0`,
    commandLine: title,
  }));
}

const postmaster = "/usr/lib/postgresql/17/bin/postgres\0-D\0/data\0";

t.test("titles name what a process is, and no session can take another's name", async (t) => {
  const named: readonly (readonly [title: string, kind: string])[] = [
    ["postgres: checkpointer ", "checkpointer"],
    ["postgres: dal-01: checkpointer performing shutdown checkpoint\0\0\0", "checkpointer"],
    ["postgres: dal-01: archiver last was 00000001000000000000000A", "archiver"],
    ["postgres: archiver archiving 00000002.history", "archiver"],
    ["postgres: dal-01: logger ", "logger"],
    ["postgres: dal-01: walsender repl 127.0.0.1(4) streaming 0/3000148", "walsender"],
    ["postgres: walsender repl app 127.0.0.1(4) START_REPLICATION", "walsender"],
    ["postgres: walsender repl 127.0.0.1(4) BASE_BACKUP", "busy walsender"],
    ["postgres: walsender repl app 127.0.0.1(4) UPDATE", "busy walsender"],
    ["postgres: dal-01: startup recovering 000000010000000000000003", "startup"],
    ["postgres: dal-01: app app 127.0.0.1(5) idle", "backend"],
    ["postgres: checkpointer app [local] idle", "backend"],
    ["postgres: checkpointer performing [local] UPDATE", "backend"],
    ["postgres: archiver last was [local] idle", "backend"],
    ["postgres: logger logger [local] idle", "backend"],
    ["postgres: x y: checkpointer [local] idle", "backend"],
    ["postgres: logical replication launcher ", "backend"],
    [postmaster, "new child"],
    ["", "ending"],
  ];
  const found = nameProcesses(processes(postmaster, ...named.map(([title]) => title)));
  t.equal(found[0]?.kind, "postmaster");
  for (const [index, [title, kind]] of named.entries()) {
    t.equal(found.find((one) => one.pid === 101 + index)?.kind, kind, title);
  }
});

const running = { state: "in production" };
const clean = { state: "shut down" };
const file = (status: string, pid = 100): string =>
  [pid, "/data", 1, 5432, "/run", "*", "1 2", status].join("\n");
const busy = "postgres: app app [local] UPDATE";
const lastOnes = ["postgres: checkpointer", "postgres: walsender r 1.2.3.4(5) streaming 0/1"];

const verdicts: readonly {
  name: string;
  pidFile?: string;
  seen: readonly string[] | null;
  control: { state: string } | null;
  want: "alive" | "stopping" | "gone";
}[] = [
  {
    name: "a light look at one that runs",
    pidFile: file("ready   "),
    seen: null,
    control: running,
    want: "alive",
  },
  {
    name: "a light look at one that stops",
    pidFile: file("stopping"),
    seen: null,
    control: running,
    want: "stopping",
  },
  { name: "no process", seen: [], control: clean, want: "gone" },
  {
    name: "no process, and a file left",
    pidFile: file("ready"),
    seen: [],
    control: running,
    want: "gone",
  },
  { name: "no process, control unreadable", seen: [], control: null, want: "gone" },
  {
    name: "all of it",
    pidFile: file("ready"),
    seen: [postmaster, busy],
    control: running,
    want: "alive",
  },
  {
    name: "the control file of the stop before",
    pidFile: file("starting"),
    seen: [postmaster, "postgres: startup"],
    control: clean,
    want: "alive",
  },
  {
    name: "asked to stop",
    pidFile: file("stopping"),
    seen: [postmaster, busy],
    control: running,
    want: "stopping",
  },
  {
    name: "the shutdown checkpoint",
    pidFile: file("stopping"),
    seen: [postmaster, ...lastOnes],
    control: { state: "shutting down" },
    want: "stopping",
  },
  {
    name: "stopped, walsenders send on",
    pidFile: file("stopping"),
    seen: [postmaster, ...lastOnes],
    control: clean,
    want: "gone",
  },
  {
    name: "stopped, the archiver works on",
    pidFile: file("stopping"),
    seen: [postmaster, "postgres: archiver archiving 000000010000000000000003"],
    control: clean,
    want: "gone",
  },
  {
    name: "stopped as a standby",
    pidFile: file("stopping"),
    seen: [postmaster, ...lastOnes],
    control: { state: "shut down in recovery" },
    want: "gone",
  },
  {
    name: "stopped, says a file that cannot be read",
    pidFile: file("stopping"),
    seen: [postmaster, ...lastOnes],
    control: null,
    want: "stopping",
  },
  {
    name: "stopped, and a session is left",
    pidFile: file("stopping"),
    seen: [postmaster, busy],
    control: clean,
    want: "stopping",
  },
  {
    name: "stopped, and a child without a title",
    pidFile: file("stopping"),
    seen: [postmaster, postmaster],
    control: clean,
    want: "stopping",
  },
  { name: "the last moment", seen: [postmaster], control: clean, want: "stopping" },
  {
    name: "the file is of another postmaster",
    pidFile: file("stopping", 7),
    seen: [postmaster],
    control: clean,
    want: "alive",
  },
  {
    name: "a killed postmaster's children",
    pidFile: file("ready"),
    seen: ["postgres: checkpointer", busy],
    control: running,
    want: "alive",
  },
  {
    name: "the same, stopping before",
    pidFile: file("stopping"),
    seen: ["postgres: checkpointer"],
    control: running,
    want: "alive",
  },
  {
    name: "only what never writes",
    pidFile: file("ready"),
    seen: ["postgres: logger", "postgres: archiver"],
    control: running,
    want: "gone",
  },
  {
    name: "a walsender of a crashed one",
    pidFile: file("ready"),
    seen: lastOnes.slice(1),
    control: running,
    want: "alive",
  },
];
for (const { name, pidFile = null, seen, control, want } of verdicts) {
  t.test(`${want}: ${name}`, async (t) => {
    const list = seen === null ? null : processes(...seen);
    const orphans = list?.map((one) => ({ ...one, stat: one.stat.replace(" S 100", " S 1") }));
    const isOrphaned = seen !== null && seen.length > 0 && seen[0] !== postmaster;
    const named = readPostmasterFile(pidFile)?.pid ?? null;
    const look = { pidFile, postmaster: named, processes: isOrphaned ? orphans : list } as HostLook;
    const verdict = judgeProcess(look, nameProcesses(look.processes ?? []), control as ControlFile);
    t.equal(verdict, want);
  });
}

t.test("postmaster.pid is read as far as it is written", async (t) => {
  const text = file("standby ");
  t.strictSame(readPostmasterFile(text), {
    pid: 100,
    port: "5432",
    socketFolder: "/run",
    status: "standby",
  });
  t.equal(readPostmasterFile("-77\n/data\n")?.pid, 77, "a single user's Postgres");
  for (const wrong of [null, "", "\n", "x\n", "0\n", "1 2\n"])
    t.equal(readPostmasterFile(wrong), null);
  t.equal(readPostmasterFile("12\n")?.status, "");
});
