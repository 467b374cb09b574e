/**
 * The two channels to a member's host without a Postgres: a real sh that is killed, frozen, noisy,
 * cut into single bytes or given names that bite, and this machine's own files and programs.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import type { MemberControlKeys } from "../../../../config/schema.ts";
import { eventually, withDeadline } from "../../../../kit/clock.ts";
import type { HostChannel, HostLook } from "../../../../router/postgres/control/channel.ts";
import { localChannel } from "../../../../router/postgres/control/local-channel.ts";
import { shellChannel } from "../../../../router/postgres/control/shell-channel.ts";
import { quotedWords } from "../../../../router/postgres/control/shell-script.ts";
import { ShellSession, spawnShell } from "../../../../router/postgres/control/shell-session.ts";
import { stopPostgres } from "../../../../router/postgres/control/stop.ts";

const { signal } = new AbortController();
const soon = { deadlineMs: 10_000, intervalMs: 10 };

/** Words that end, start or mean something to a shell. */
const hostile = [
  "plain",
  "with blanks  and\ttabs",
  "it's",
  `"$HOME" $(echo bad) \`echo bad\` \\ \\\\`,
  "a\nb\n",
  "'; echo bad; '",
  "-n",
  "-e \\n",
  "*?[a]{b,c}~",
  "!history & | > < # % ü €",
  "''",
];

t.test("a shell takes words as they are", async (t) => {
  const session = new ShellSession(spawnShell(["sh"]));
  t.teardown(() => session.end());
  const { status, output } = await session.ask(`printf '%s\\0' ${quotedWords(hostile)}`, signal);
  t.equal(status, 0);
  t.strictSame(output.toString("utf8").split("\0").slice(0, -1), hostile);
  t.throws(() => quotedWords(["a\0b"]), TypeError);
});

t.test("answers come whole however they are cut, and in the order of the questions", async (t) => {
  // dd hands on each byte by itself.
  const session = new ShellSession(spawnShell(["sh", "-c", "sh | dd bs=1 2>/dev/null"]));
  t.teardown(() => session.end());
  const scripts = ["echo one", ":", "printf 'no end'", "echo; echo '00-00 0'; (exit 7)", "cat"];
  const replies = await Promise.all(scripts.map((script) => session.ask(script, signal)));
  t.strictSame(
    replies.map(({ status, output }) => [status, output.toString()]),
    [
      [0, "one\n"],
      [0, ""],
      [0, "no end"],
      [7, "\n00-00 0\n"],
      [0, ""],
    ],
    "what reads does not read the questions that follow",
  );
});

interface Rig {
  readonly data: string;
  readonly channel: HostChannel;
  /** The pid of the shell that was opened last. */
  readonly pid: () => Promise<number>;
}

/** A shell channel to a folder with a name that bites, over a shell that says its pid. */
async function rig(t: Test, before = ":"): Promise<Rig> {
  const home = t.testdir({});
  const data = join(home, "a 'data' $dir\n\"x");
  await mkdir(join(data, "global"), { recursive: true });
  const pidFile = join(home, "pid");
  const shell = ["sh", "-c", `${before}; echo $$ >"$0"; exec sh`, pidFile];
  const channel = shellChannel("dal-01", shell, data);
  t.teardown(() => channel.close());
  return { data, channel, pid: async () => Number(await readFile(pidFile, "utf8")) };
}

for (const kind of ["shell", "local"] as const) {
  t.test(`files over the ${kind} channel`, async (t) => {
    const { data, channel: overShell } = await rig(t, "echo Welcome to this host");
    const channel = kind === "shell" ? overShell : localChannel("dal-01", data);
    for (const name of ["standby.signal", "it's -n $(x)", "b\nc"]) {
      const path = join(data, name);
      t.equal(await channel.read(path, signal), null);
      await channel.write(path, `switchyard ${name}\n`, signal);
      t.equal((await channel.read(path, signal))?.toString(), `switchyard ${name}\n`);
      await channel.write(path, "", signal);
      t.equal((await channel.read(path, signal))?.length, 0, "empty is not missing");
      await channel.remove(path, signal);
      await channel.remove(path, signal);
      t.equal(await channel.read(path, signal), null);
    }
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) & 255));
    await writeFile(join(data, "global/pg_control"), bytes);
    t.ok((await channel.read(join(data, "global/pg_control"), signal))?.equals(bytes));
    await writeFile(join(data, "standby.signal"), "switchyard it's me");
    await writeFile(join(data, "postmaster.pid"), `${2 ** 31}\n/data\n`);
    await writeFile(join(data, "promote"), "");
    await mkdir(join(data, "pg_wal/archive_status"), { recursive: true });
    for (const name of ["a.ready", "b.ready", "c.done"]) {
      await writeFile(join(data, "pg_wal/archive_status", name), "");
    }
    for (const how of ["whole", "light"] as const) {
      const look = await channel.look(how, signal);
      t.ok(bytes.equals(look.control ?? Buffer.alloc(0)));
      t.strictSame(
        {
          ...look,
          control: null,
          pidFile: look.pidFile?.trimEnd(),
          signalFile: look.signalFile?.trimEnd(),
        },
        {
          pidFile: `${2 ** 31}\n/data`,
          postmaster: null,
          signalFile: "switchyard it's me",
          control: null,
          promoteFile: true,
          processes: [],
          archiveReady: how === "whole" ? 2 : 0,
        },
      );
    }
    t.equal(
      await channel.kill(process.pid, "SIGTERM", signal),
      false,
      "no Postgres of this folder",
    );
    await t.rejects(channel.read(data, signal), {
      code: "ERR_HOST_CONTROL",
      message: /^dal-01: read .*(is a directory|EISDIR)/i,
    });
    await t.rejects(channel.write(join(data, "no/folder"), "", signal), {
      code: "ERR_HOST_CONTROL",
    });
    t.strictSame(
      (await readdir(data)).filter((name) => name.endsWith(".new")),
      [],
    );
    channel.close();
  });

  t.test(`a signal over the ${kind} channel, only while a file is as it was`, async (t) => {
    const { data, channel: overShell } = await rig(t);
    const channel = kind === "shell" ? overShell : localChannel("dal-01", data);
    t.teardown(() => channel.close());
    // A process that looks as one of Postgres does.
    const program = join(data, "postgres");
    await symlink("/bin/sleep", program);
    const child = spawn(program, ["60"], { cwd: data, stdio: "ignore" });
    const ended = once(child, "exit");
    t.teardown(() => void child.kill("SIGKILL"));
    const pid = child.pid ?? 0;
    await eventually("the process is seen", soon, async () => {
      const { processes } = await channel.look("whole", signal);
      return processes?.some((one) => one.pid === pid) === true ? true : undefined;
    });
    const path = join(data, "standby.signal");
    const kill = async (text: string | null): Promise<boolean> =>
      await channel.kill(pid, "SIGINT", signal, { path, text });
    t.equal(await kill("switchyard run-1"), false, "it is gone");
    await writeFile(path, "switchyard run-2\n");
    t.equal(await kill("switchyard run-1"), false, "it is another one");
    t.equal(await kill(null), false, "it has come");
    await writeFile(path, "");
    t.equal(await kill(null), false, "empty is not missing");
    t.equal(child.exitCode ?? child.signalCode, null, "nothing was sent");
    await writeFile(path, "switchyard it's me\n");
    t.equal(await kill("switchyard it's me"), true);
    t.strictSame(await ended, [null, "SIGINT"]);
  });

  t.test(
    `nothing is marked over the ${kind} channel for who hears late of his signal`,
    async (t) => {
      const { data, channel: overShell } = await rig(t);
      const channel = kind === "shell" ? overShell : localChannel("dal-01", data);
      t.teardown(() => channel.close());
      const path = join(data, "standby.signal");
      const mark = join(data, "marked");
      const keys = { data, stop: ["touch", mark] } as unknown as MemberControlKeys;
      const stop = async (
        tookMs: number,
        becomes: string | null,
        pid: number | null = 12,
      ): Promise<boolean> => {
        await writeFile(path, "switchyard run-1\n");
        let now = 0;
        const pass = async (): Promise<void> => {
          now += tookMs;
          await (becomes === null ? rm(path) : writeFile(path, becomes));
        };
        const kill = async (): Promise<boolean> => {
          await pass();
          return true;
        };
        const look = async (): Promise<HostLook> => {
          const seen = await channel.look("light", signal);
          if (pid === null) await pass();
          return { ...seen, postmaster: pid, processes: pid === null ? [] : null };
        };
        const { run, read } = channel;
        const host = { member: "dal-01", keys, channel: { ...channel, run, read, look, kill } };
        await stopPostgres(host, signal, { by: "run-1" }, { monotonic: () => now });
        const isMarked = (await channel.read(mark, signal)) !== null;
        await rm(mark, { force: true });
        return isMarked;
      };
      t.equal(await stop(1, "switchyard run-1\n"), true);
      t.equal(await stop(60_000, "switchyard run-1\n"), true, "it is still his");
      for (const becomes of ["switchyard run-2\n", null]) {
        for (const pid of [12, null]) {
          await t.rejects(stop(60_000, becomes, pid), { code: "ERR_ARMED_BY_ANOTHER" });
          t.equal(await channel.read(mark, signal), null);
        }
      }
    },
  );

  t.test(`programs over the ${kind} channel`, async (t) => {
    const { data, channel: overShell } = await rig(t);
    const channel = kind === "shell" ? overShell : localChannel("dal-01", data);
    await channel.warm(true, signal);
    const lines: string[] = [];
    const text = await channel.run(
      ["sh", "-c", 'cat; echo "$SECRET" >&2; tr "\\0" " " </proc/$$/cmdline', ...hostile],
      "owner",
      {
        deadlineMs: 10_000,
        input: "from\nhere\n",
        env: { SECRET: "hunter2 it's" },
        onLine: (line) => lines.push(line),
      },
    );
    t.equal(
      text,
      `from\nhere\nsh -c cat; echo "$SECRET" >&2; tr "\\0" " " </proc/$$/cmdline ${hostile.join(" ")} `,
    );
    t.ok(lines.includes("hunter2 it's"), "the variable came, and stands in no argument");
    await t.rejects(
      channel.run(["sh", "-c", "echo why >&2; exit 3"], "channel", { deadlineMs: 10_000 }),
      {
        code: "ERR_HOST_CONTROL",
        message: "dal-01: run sh -c echo why >&2; exit 3: exit code 3: why",
      },
    );
    await t.rejects(channel.run(["/no/such program"], "channel", { deadlineMs: 10_000 }), {
      message: /run \/no\/such program: exit code 127: .*not found/,
    });
    await t.rejects(channel.run(["yes"], "channel", { deadlineMs: 20_000 }), {
      message: "dal-01: run yes: it printed more than 16 MiB",
    });
  });

  t.test(`a program that is given up ends on its host, over the ${kind} channel`, async (t) => {
    // As over ssh and sudo: the shell leads no process group.
    const shell = ["sh", "-c", "sh; :"];
    const data = t.testdir({});
    const channel =
      kind === "shell" ? shellChannel("dal-01", shell, data) : localChannel("dal-01", data);
    t.teardown(() => channel.close());
    const gone = new AbortController();
    const pids: number[] = [];
    const run = channel.run(["sh", "-c", "sleep 300 & echo $$; echo $!; wait"], "owner", {
      deadlineMs: 60_000,
      signal: gone.signal,
      onLine: (line) => {
        // A shell on the way says on its own that what it ran was terminated.
        if (/^[0-9]+$/.test(line)) pids.push(Number(line));
        if (pids.length === 2) gone.abort(new Error("the operator left"));
      },
    });
    await t.rejects(run, { message: "the operator left" });
    t.equal(pids.length, 2);
    for (const pid of pids) {
      await eventually(`end of ${pid}`, soon, async () => (isAlive(pid) ? undefined : true));
    }
  });
}

/** False for a zombie too: where nobody collects them they stay. */
function isAlive(pid: number): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[0-9]+ \(.*\) [ZX]/.test(line);
  } catch {
    return false;
  }
}

t.test("a shell that dies fails what is asked of it, and the next act opens another", async (t) => {
  const { data, channel, pid } = await rig(t);
  await channel.warm(false, signal);
  const first = await pid();
  process.kill(first, "SIGSTOP");
  const asked = [channel.look("light", signal), channel.look("light", signal)];
  process.kill(first, "SIGKILL");
  for (const one of await Promise.allSettled(asked)) {
    t.match(one, {
      status: "rejected",
      reason: {
        code: "ERR_HOST_CONTROL",
        message: /look at .*: the shell ended: ended by SIGKILL/,
      },
    });
  }
  await channel.write(join(data, "x"), "y", signal);
  t.not(await pid(), first);
});

t.test("a shell that hangs is given up at the deadline, and not asked again", async (t) => {
  const { channel, pid } = await rig(t);
  await channel.warm(false, signal);
  const first = await pid();
  process.kill(first, "SIGSTOP");
  await t.rejects(
    withDeadline("a look", 100, (inner) => channel.look("light", inner)),
    { code: "ERR_DEADLINE" },
  );
  await eventually("end of the shell", soon, () => (isAlive(first) ? undefined : true));
  t.strictSame((await channel.look("light", signal)).processes, []);
});

const noShells: readonly { name: string; shell: readonly string[]; says: RegExp }[] = [
  { name: "no such program", shell: ["/no/such/ssh"], says: /ENOENT/ },
  {
    name: "a refusal",
    shell: ["sh", "-c", "echo Permission denied >&2; exit 255"],
    says: /exit code 255: Permission denied/,
  },
  {
    name: "no programs",
    shell: ["env", "PATH=/nowhere", "/bin/sh"],
    says: /lacks what it needs: there is no program base64/,
  },
];
for (const { name, shell, says } of noShells) {
  t.test(`where the shell should be: ${name}`, async (t) => {
    const channel = shellChannel("dal-01", shell, t.testdir({}));
    t.teardown(() => channel.close());
    const acts = [() => channel.warm(true, signal), () => channel.look("whole", signal)];
    for (const act of acts) {
      await t.rejects(async () => void (await act()), { code: "ERR_HOST_CONTROL", message: says });
    }
  });
}

t.test("a folder that is not there", async (t) => {
  const data = join(t.testdir({}), "none");
  const channels = [shellChannel("dal-01", ["sh"], data), localChannel("dal-01", data)];
  for (const channel of channels) {
    t.teardown(() => channel.close());
    await t.rejects(channel.look("whole", signal), {
      code: "ERR_HOST_CONTROL",
      message: /^dal-01: look at .*none: (there is no such folder|ENOENT)/,
    });
    const beside = { deadlineMs: 10_000 };
    t.equal(
      await channel.run(["echo", "on"], "owner", beside),
      "on\n",
      "programs run all the same",
    );
  }
});
