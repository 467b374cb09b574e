/**
 * What a rebuild asks on the member's host, as its Postgres's user: POSIX shell texts whose values
 * come as arguments, never as part of the text. They change nothing.
 */

/** A shell text with the name that it has in messages. */
export interface Script {
  readonly name: string;
  readonly text: string;
}

/** How a script is run: the words, and what goes to its standard input. */
export interface ScriptCall {
  readonly argv: readonly [string, ...string[]];
  readonly input: string;
}

/**
 * Calls `script` with `values` as $1 and on. The text goes in by standard input, so that what is
 * said of a failure has its name and its values alone; where it reads something itself, `input`.
 */
export function callOf(script: Script, values: readonly string[], input?: string): ScriptCall {
  const { name, text } = script;
  return input === undefined
    ? { argv: ["/bin/sh", "-s", "--", name, ...values], input: `shift\n${text}` }
    : { argv: ["/bin/sh", "-c", text, name, ...values], input };
}

/** Finds processes of an earlier rebuild, by the directories in their words. */
export const workers = `
workers() {
  printf '%s.new-\\n%s.rewind-\\n%s.old-\\n' "$1" "$1" "$1" |
    grep -alFf - /proc/[0-9]*/cmdline 2>/dev/null |
    while IFS=/ read -r _ _ pid _; do
      if [ "$pid" != "$$" ]; then printf '%s\\n' "$pid"; fi
    done
}
`;

/** Reads a node's settings without a running Postgres. */
export const settings = `
config_of() { sed -n 's/.*"config_file=\\([^"]*\\)".*/\\1/p' "$1/postmaster.opts" 2>/dev/null; }
setting() {
  config=$(config_of "$2")
  "$1/postgres" -D "$2" \${config:+-c "config_file=$config"} -C "$3" 2>/dev/null
}
`;

/** Value: data. Prints what kind of thing it is, and the directories of rebuilds beside it. */
const layoutText = `
data=$1
kind=missing
if [ -L "$data" ]; then kind=foreign
elif [ -d "$data" ]; then
  kind=foreign
  if [ -f "$data/PG_VERSION" ]; then kind=cluster; fi
  if [ -z "$(ls -A "$data")" ]; then kind=empty; fi
elif [ -e "$data" ]; then kind=foreign; fi
echo "data=$kind"
for name in new ready old rewind work; do
  for folder in "$data.$name-"*; do
    if [ -d "$folder" ]; then echo "leftover=$name \${folder##*."$name"-}"; fi
  done
done
`;

/** The same, alone. */
export const shortLayout: Script = { name: "look-beside", text: layoutText };

/**
 * Values: data, folder of programs or "", the source's major version, the folder of --export or "",
 * the program of a hook that has to be there or "".
 */
export const wholeLayout: Script = {
  name: "wholeLayout",
  text: `
${workers}${settings}${layoutText}
programs=$2 major=$3 parent=$(dirname "$data")
place=
if [ "$kind" = cluster ]; then place=$data; fi
for folder in "$data".old-* "$data".rewind-*; do
  if [ -z "$place" ] && [ -d "$folder" ]; then place=$folder; fi
done
own=$place
case "$place" in
  "$data".rewind-*) own=$data.work-\${place##*.rewind-}/own ;;
esac
if [ -z "$programs" ] && [ -n "$place" ]; then
  programs=$(sed -n '1s|^\\([^ "]*\\)/postgres .*|\\1|p' "$place/postmaster.opts" 2>/dev/null)
fi
if [ -z "$programs" ] && [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
  programs=/usr/lib/postgresql/$major/bin
fi
if [ -z "$programs" ]; then programs=$(dirname "$(command -v pg_basebackup)"); fi
echo "programs=$programs"
here=$data
if [ ! -d "$data" ]; then here=$parent; fi
if [ -d "$data" ] && awk '{print $5}' /proc/self/mountinfo | grep -Fxq "$(cd "$data" && pwd -P)"; then
  echo mount=yes
fi
owner=$(stat -c %u "$here")
if [ -w "$parent" ] && [ "$owner" = "$(id -u)" ] && [ "$owner" != 0 ]; then echo writable=yes; fi
echo "free=$(df -Pk "$parent" | awk 'NR == 2 {print $4}')"
if [ -n "$place" ]; then
  echo "major=$(cat "$place/PG_VERSION")"
  if [ -L "$place/pg_wal" ]; then echo "wal=$(readlink -f "$place/pg_wal")"; fi
  segments=$(ls "$place/pg_wal" | grep -E '^[0-9A-F]{24}$' || true)
  echo "segment=$(printf '%s\\n' "$segments" | cut -c 9- | sort | head -n 1)"
  echo "timeline=$(printf '%s\\n' "$segments" | cut -c -8 | sort | tail -n 1)"
  if [ -n "$(setting "$programs" "$own" primary_conninfo)" ]; then echo conninfo=yes; fi
  if [ -n "$(setting "$programs" "$place" restore_command)" ]; then echo restore=yes; fi
  mode=$(setting "$programs" "$place" archive_mode)
  if [ "$mode" != off ] && [ -n "$(setting "$programs" "$place" archive_command)" ]; then
    echo archive=yes
  fi
fi
echo "real=$(readlink -f "$data")"
if [ -n "$4" ]; then
  folder=$4 rest=
  while [ ! -e "$folder" ] && [ ! -L "$folder" ]; do
    rest=/\${folder##*/}$rest folder=\${folder%/*}
    if [ -z "$folder" ]; then folder=/; fi
  done
  if [ -d "$folder" ] && [ -w "$folder" ] && folder=$(cd "$folder" && pwd -P); then
    echo "export=$folder$rest"
  fi
fi
if [ -n "$5" ] && ! command -v "$5" > /dev/null && [ ! -e "$5" ]; then echo "missing=$5"; fi
for pid in $(workers "$data"); do echo "worker=$pid"; done
`,
};

/** Values: programs, pg_wal, timeline, from. Prints the last whole record. */
export const lastRecord: Script = {
  name: "lastRecord",
  text: `
"$1/pg_waldump" -p "$2" -t "$3" -s "$4" 2>/dev/null | tail -n 1
`,
};

/** Values: as lastRecord. Prints how many transactions were committed, then the last record. */
export const countRecords: Script = {
  name: "countRecords",
  text: `
"$1/pg_waldump" -p "$2" -t "$3" -s "$4" 2>/dev/null |
  awk '/^rmgr: Transaction .* desc: COMMIT/ {n++} {last = $0} END {print n + 0; print last}'
`,
};

/** Values: file, number of bytes. */
export const hashOfHead: Script = {
  name: "hashOfHead",
  text: `
head -c "$2" "$1" | sha256sum | cut -d ' ' -f 1
`,
};
