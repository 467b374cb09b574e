/**
 * The text that goes to a POSIX shell. Words from outside get into it through `quoted` alone. All
 * looks stay inside the shell as far as a POSIX shell can: what it has to start for them (base64,
 * tr) is small and there on every system.
 */

/** Variables that would change what Postgres and its programs do, as the caller's shell has them. */
const callersPostgres = [
  ..."PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE".split(
    " ",
  ),
  ..."PGOPTIONS PGAPPNAME PGSSLMODE PGDATA PGTZ PGDATESTYLE PGCLIENTENCODING PGREQUIREAUTH".split(
    " ",
  ),
  ..."PGTARGETSESSIONATTRS PGCONNECT_TIMEOUT PGSYSCONFDIR PGCHANNELBINDING PGGSSENCMODE".split(" "),
];

/** Who owns a data directory, and who the channel to it is, as user and group ids. */
export interface DataOwner {
  readonly uid: number;
  readonly gid: number;
  readonly self: number;
}

/**
 * A word as a shell takes it, whatever stands in it.
 * @throws TypeError for a word with a NUL, which no program can be given
 */
export function quoted(word: string): string {
  if (word.includes("\0")) throw new TypeError("a word for a shell holds a NUL");
  if (/^[A-Za-z0-9_./:=@%+,-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Words as a shell takes them. */
export function quotedWords(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}

/**
 * A script whose output is followed by a line with the mark and the script's exit status; or, for
 * one that becomes a program, preceded by a line with the mark and the shell's process id. The
 * script must not be able to read the shell's input, in which the next one comes.
 */
export function markedScript(script: string, mark: string, word: "status" | "pid"): string {
  return word === "status"
    ? `{ ${script}\n} </dev/null; printf '\\n%s %s\\n' ${mark} "$?"\n`
    : `{ printf '\\n%s %s\\n' ${mark} "$$"; ${script}\n}\n`;
}

/** The words that run `argv` as the owner of the data directory; text says why they cannot. */
export function ownerWords(
  { uid, gid, self }: DataOwner,
  argv: readonly string[],
): readonly string[] | string {
  if (self === uid) return argv;
  if (self !== 0) return `only root or user ${uid} can, and this is user ${self}`;
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--", ...argv];
}

/**
 * Lets the shell become a program, in the root folder (a folder of the data directory would make it
 * look like one of its processes), without the caller's Postgres variables, which get `variables`
 * instead. They stand in the shell's input and never in an argument.
 */
export function programScript(
  argv: readonly string[],
  variables: Readonly<Record<string, string>>,
): string {
  const set = Object.entries(variables).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new TypeError(`not a variable: ${name}`);
    return `export ${name}=${quoted(value)}; `;
  });
  return `cd /; unset ${callersPostgres.join(" ")}; ${set.join("")}exec ${quotedWords(argv)}`;
}

/**
 * Ends a program and all that came from it; waits 5 s before it insists. Over ssh and sudo a program
 * has no process group of its own, so its family is found by who is whose parent (proc(5)).
 */
export function endScript(pid: number): string {
  return String.raw`
sy_t=" ${pid} "; sy_more=1
while [ $sy_more = 1 ]; do
  sy_more=0
  for sy_d in /proc/[1-9]*; do
    { IFS= read -r sy_s <"$sy_d/stat"; } 2>/dev/null || continue
    set -- ${"${sy_s##*) }"}; sy_p=${"${sy_d#/proc/}"}
    case "$sy_t" in *" $sy_p "*) continue ;; *" $2 "*) sy_t="$sy_t$sy_p "; sy_more=1 ;; esac
  done
done
sy_left() {
  for sy_p in $sy_t; do
    { IFS= read -r sy_s <"/proc/$sy_p/stat"; } 2>/dev/null || continue
    case "$sy_s" in *') Z '*|*') X '*) ;; *) return 0 ;; esac
  done
  return 1
}
kill -TERM $sy_t 2>/dev/null
sy_i=0
while sy_left && [ $sy_i -lt 50 ]; do sleep 0.1; sy_i=$((sy_i+1)); done
kill -KILL $sy_t 2>/dev/null
:`;
}
