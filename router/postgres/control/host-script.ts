/**
 * What a shell on a member's host is taught and asked, and how its answers read. The functions stay
 * inside the shell as far as a POSIX shell can: a look at a running Postgres starts two small
 * programs (base64, twice at most), and one (tr) for a title that is none of Postgres's own.
 */
import type { FileAsSeen, HostLook, HostSignal, SeenProcess } from "./channel.ts";
import { quoted, quotedWords } from "./shell-script.ts";

/** What a status says that the functions return. */
export const refusals: Readonly<Record<number, string>> = {
  11: "there is no such folder, or it may not be entered",
  12: "it takes root or the owner of the data directory",
  13: "the host refused",
  14: "where a Postgres process works may not be read: it takes root",
  15: "the shell lacks what it needs",
};

// sy_ keeps the names apart from whatever the shell brings along.
const functions = String.raw`
sy_prepare() {
  for sy_x in base64 cat chmod chown id mv rm stat sync tr; do
    command -v $sy_x >/dev/null 2>&1 || { echo "there is no program $sy_x"; return 15; }
  done
  [ / -ef /. ] 2>/dev/null || { echo "its test knows no -ef"; return 15; }
  [ -r /proc/self/stat ] || { echo "there is no /proc"; return 15; }
  # Of the data directory, or of the folder that it is missing in: a rebuild moves it away.
  sy_f=$sy_data; [ -d "$sy_f" ] || sy_f=${"${sy_f%/*}"}
  [ -d "$sy_f" ] || return 11
  sy_o=$(stat -L -c '%u %g' -- "$sy_f" 2>&1) || { echo "$sy_o"; return 13; }
  sy_self=$(id -u); sy_uid=${"${sy_o%% *}"}
  [ "$sy_self" = 0 ] || [ "$sy_self" = "$sy_uid" ] || { echo "this is user $sy_self"; return 12; }
  echo "$sy_o $sy_self"
}
sy_lines() {
  while IFS= read -r sy_l || [ -n "$sy_l" ]; do printf '%s %s\n' "$1" "$sy_l"; done
}
sy_is_postgres() {
  { read -r sy_c <"/proc/$1/comm"; } 2>/dev/null || return 1
  case "$sy_c" in postgres|postmaster) ;; *) return 1 ;; esac
  { IFS= read -r sy_s <"/proc/$1/stat"; } 2>/dev/null || return 1
  case "$sy_s" in
    *' (postgres) '[ZX]*|*' (postmaster) '[ZX]*) return 1 ;;
    *' (postgres) '*|*' (postmaster) '*) return 0 ;;
  esac
  return 1
}
sy_is_ours() {
  [ "/proc/$1/cwd" -ef "$sy_data" ] && sy_is_postgres "$1"
}
sy_may_be_ours() {
  # One that is ending works nowhere any more, and has no command line either.
  sy_x=; { IFS= read -r sy_x <"/proc/$1/cmdline"; } 2>/dev/null
  [ -n "$sy_x" ] || return 1
  { while read -r sy_k sy_r sy_e sy_x; do
    [ "$sy_k" = Uid: ] || continue
    [ "$sy_e" = "$sy_uid" ]; return
  done <"/proc/$1/status"; } 2>/dev/null
  return 1
}
sy_counts_itself() {
  sy_o=$1
  { while read -r sy_k sy_r; do
    [ "$sy_k" = NSpid: ] || continue
    sy_o=${"${sy_r##*[!0-9]}"}; break
  done <"/proc/$1/status"; } 2>/dev/null
  [ "$sy_o" = "$2" ]
}
sy_file_pid() {
  sy_f=
  { IFS= read -r sy_f <"$sy_data/postmaster.pid"; } 2>/dev/null
  sy_f=${"${sy_f#-}"}
  case "$sy_f" in ''|*[!0-9]*) sy_f=; return 1 ;; esac
}
sy_at_work() {
  sy_file_pid || return 1
  # The one that was found last, for one in a container, which counts from 1.
  sy_is_ours "$sy_f" && sy_counts_itself "$sy_f" "$sy_f" && sy_m=$sy_f
  [ "$sy_m" != '' ] && sy_is_ours "$sy_m" && sy_counts_itself "$sy_m" "$sy_f" || return 1
  sy_n=0; sy_w=
  { while IFS= read -r sy_l; do
    sy_n=$((sy_n+1)); [ $sy_n = 8 ] && sy_w=$sy_l
  done <"$sy_data/postmaster.pid"; } 2>/dev/null
  case "$sy_w" in stopping*) ;; *) return 0 ;; esac
  # The state is its 17th byte: 1 (shut down) and 2 show as E and I in the 23rd letter of base64.
  sy_b=$(base64 <"$sy_data/global/pg_control" 2>/dev/null)
  case "${"${sy_b#??????????????????????}"}" in E*|I*|'') return 1 ;; esac
  return 0
}
sy_title() {
  # A title without a line's end is read here; one with, or the words of a program, need a hand.
  sy_x=; { IFS= read -r sy_x <"/proc/$1/cmdline"; } 2>/dev/null && sy_x=
  case "$sy_x" in
    'postgres: '*) printf 'title %s\n' "$sy_x" ;;
    *) printf 'title '; { tr '\0\n' '  ' <"/proc/$1/cmdline"; } 2>/dev/null; echo ;;
  esac
}
sy_scan() {
  sy_file_pid; sy_m=
  for sy_d in /proc/[1-9]*; do
    sy_p=${"${sy_d#/proc/}"}
    if [ "$sy_d/cwd" -ef "$sy_data" ]; then
      sy_is_postgres "$sy_p" || continue
      if [ "$sy_m" = '' ] && [ "$sy_f" != '' ] && sy_counts_itself "$sy_p" "$sy_f"; then
        sy_m=$sy_p; echo "postmaster $sy_m"
      fi
      echo "process $sy_s"; sy_title "$sy_p"
    elif ! [ -d "$sy_d/cwd" ] && sy_is_postgres "$sy_p" && sy_may_be_ours "$sy_p"; then
      echo "process $sy_p"; return 14
    fi
  done
}
sy_look() {
  [ -d "$sy_data" ] || return 11
  for sy_f in postmaster.pid standby.signal; do
    [ -e "$sy_data/$sy_f" ] || continue
    echo "file $sy_f"
    { sy_lines "$sy_f" <"$sy_data/$sy_f"; } 2>/dev/null
  done
  [ -e "$sy_data/promote" ] && echo promote
  sy_b=
  if [ "$1" = light ] && sy_at_work; then
    echo "light $sy_m"
  else
    # What ended before the processes were looked at has written its control file by then.
    sy_b=; sy_scan || return $?
  fi
  if [ "$1" = whole ]; then
    set -- "$sy_data"/pg_wal/archive_status/*.ready
    [ -e "$1" ] && echo "ready $#"
  fi
  echo control
  if [ -n "$sy_b" ]; then printf '%s\n' "$sy_b"; else base64 <"$sy_data/global/pg_control" 2>/dev/null; fi
  return 0
}
sy_read() {
  if [ -e "$1" ]; then
    sy_o=$(base64 <"$1" 2>&1) || { echo "$sy_o"; return 13; }
    printf 'there\n%s\n' "$sy_o"; return 0
  fi
  sy_o=$(cat -- "$1" 2>&1) && return 0
  case "$sy_o" in *'No such file'*) return 0 ;; esac
  echo "$sy_o"; return 13
}
sy_replace() {
  sy_t=$1.$$.new
  sy_u=$(stat -L -c '%u:%g' -- "$sy_data") && printf %s "$2" | base64 -d >"$sy_t" &&
    chmod 600 -- "$sy_t" && { [ "$sy_self" != 0 ] || chown "$sy_u" -- "$sy_t"; } &&
    sync -- "$sy_t" && mv -f -- "$sy_t" "$1" && sync -- "${"${1%/*}"}"
}
sy_write() {
  sy_o=$(sy_replace "$1" "$2" 2>&1) && return 0
  rm -f -- "$1.$$.new"; echo "$sy_o"; return 13
}
sy_remove() {
  sy_o=$({ rm -f -- "$1" && sync -- "${"${1%/*}"}"; } 2>&1) && return 0
  echo "$sy_o"; return 13
}
sy_kill() {
  sy_is_ours "$1" || return 0
  if [ $# -gt 2 ]; then
    sy_o=; [ ! -e "$3" ] || sy_o=there$(cat -- "$3") || return 0
    [ "$sy_o" = "$4" ] || return 0
  fi
  kill -s "$2" "$1" 2>/dev/null && echo sent
  return 0
}
`;

/** Teaches a shell the functions; it answers with the owner's ids and its own user id. */
export function preparation(data: string): string {
  return `LC_ALL=C; export LC_ALL; umask 077; sy_data=${quoted(data)}\n${functions}sy_prepare`;
}

/** Asks for a look. */
export function lookScript(how: "whole" | "light"): string {
  return `sy_look ${how}`;
}

/** Asks for a file. */
export function readScript(path: string): string {
  return `sy_read ${quoted(path)}`;
}

/** Replaces a file durably, as the data directory's owner's. */
export function writeScript(path: string, content: string): string {
  return `sy_write ${quotedWords([path, Buffer.from(content).toString("base64")])}`;
}

/** Removes a file durably. */
export function removeScript(path: string): string {
  return `sy_remove ${quoted(path)}`;
}

/** Signals a Postgres process of the data directory, `only` while that file is so; answers `sent` if it did. */
export function killScript(pid: number, name: HostSignal, only?: FileAsSeen): string {
  const words = [String(pid), name.replace("SIG", "")];
  const file = only && [only.path, only.text === null ? "" : `there${only.text}`];
  return `sy_kill ${quotedWords([...words, ...(file ?? [])])}`;
}

/** What sy_read answered: the bytes, or null when there is no such file. */
export function readFileReply(output: Buffer): Buffer | null {
  const text = output.toString("latin1");
  return text.startsWith("there\n") ? Buffer.from(text.slice("there\n".length), "base64") : null;
}

/** What sy_look answered. @throws TypeError for a line that it does not print */
export function readLook(output: Buffer): HostLook {
  const text = output.toString("utf8");
  const at = text.indexOf("\ncontrol\n") + 1;
  const bytes = Buffer.from(text.slice(at + "control\n".length), "base64");
  const files = new Map<string, string[]>();
  const processes: SeenProcess[] = [];
  let [promoteFile, light, archiveReady] = [false, false, 0];
  let postmaster: number | null = null;
  for (const line of text.slice(0, at).split("\n")) {
    const [, word = "", rest = ""] = /^(\S*) ?(.*)$/s.exec(line) ?? [];
    if (word === "file") files.set(rest, []);
    else if (files.has(word)) files.get(word)?.push(`${rest}\n`);
    else if (word === "process") {
      processes.push({ pid: Number.parseInt(rest, 10), stat: rest, commandLine: "" });
    } else if (word === "title") {
      const last = processes.pop();
      if (last !== undefined) processes.push({ ...last, commandLine: rest });
    } else if (word === "promote") promoteFile = true;
    else if (word === "light") [light, postmaster] = [true, Number(rest)];
    else if (word === "postmaster") postmaster = Number(rest);
    else if (word === "ready") archiveReady = Number(rest);
    else if (line !== "") throw new TypeError(`the shell answered ${JSON.stringify(line)}`);
  }
  return {
    pidFile: files.get("postmaster.pid")?.join("") ?? null,
    postmaster,
    signalFile: files.get("standby.signal")?.join("") ?? null,
    control: bytes.length === 0 ? null : bytes,
    promoteFile,
    processes: light ? null : processes,
    archiveReady,
  };
}
