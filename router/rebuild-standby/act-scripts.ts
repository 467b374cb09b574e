/**
 * What a rebuild does on the member's host, as its Postgres's user: POSIX shell texts whose values
 * come as arguments, never as part of the text. A directory changes its name only when what the
 * name says has come true, so that a later run can tell by the names alone.
 */
import { settings, workers } from "./look-scripts.ts";
import type { Script } from "./look-scripts.ts";
import { endWorkers, halves, ownFiles, rename, wholeWal } from "./script-parts.ts";

/** Values: work folder, name. What is put in becomes the file, for its owner alone. */
export const writeSecret: Script = {
  name: "writeSecret",
  text: `
set -eu
umask 077
mkdir -p "$1"
cat > "$1/$2"
`,
};

/**
 * Values: data, id to keep. Ends what still works and removes what was left half done: copies that
 * are not this run's, and work folders, unless an interrupted rewind left the node's own files there.
 */
export const sweep: Script = {
  name: "sweep",
  text: `
set -eu
${workers}${endWorkers}
data=$1
end_workers "$data"
for folder in "$data".new-* "$data".ready-*; do
  if [ -d "$folder" ] && [ "$folder" != "$data.ready-$2" ]; then
    if [ -L "$folder/pg_wal" ]; then rm -rf "$(readlink -f "$folder/pg_wal")"; fi
    rm -rf "$folder"
  fi
done
for folder in "$data".work-*; do
  if [ -d "$folder" ] && [ ! -d "$data.rewind-\${folder##*.work-}" ]; then rm -rf "$folder"; fi
done
`,
};

/** Values: data, id, where its pg_wal is when it is elsewhere or "". */
export const removeCopy: Script = {
  name: "removeCopy",
  text: `
set -eu
${workers}${endWorkers}
end_workers "$1"
rm -rf "$1.new-$2" "$1.ready-$2" "$1.work-$2"
if [ -n "$3" ]; then rm -rf "$3"; fi
`,
};

/** Values: data, id. */
export const moveAside: Script = {
  name: "moveAside",
  text: `
set -eu
${rename}
rename "$1" "$1.old-$2"
`,
};

/** Values: data, id. */
export const putBack: Script = {
  name: "putBack",
  text: `
set -eu
${rename}
rename "$1.old-$2" "$1"
`,
};

/** Values: programs, directory. Signal files are away only while a single user recovers. */
export const recover: Script = {
  name: "recover",
  text: `
set -eu
${settings}
back() {
  for name in standby recovery; do
    if [ -f "$1/$name.signal.aside" ]; then mv "$1/$name.signal.aside" "$1/$name.signal"; fi
  done
}
trap 'back "$2"' EXIT
for name in standby recovery; do
  if [ -f "$2/$name.signal" ]; then mv "$2/$name.signal" "$2/$name.signal.aside"; fi
done
config=$(config_of "$2")
"$1/postgres" --single -D "$2" \${config:+-c "config_file=$config"} -c "data_directory=$2" \\
  -c archive_mode=off template1 < /dev/null > /dev/null
`,
};

/** Values: programs, directory. Prints how many were archived. */
export const archive: Script = {
  name: "archive",
  text: `
set -eu
${settings}
command=$(setting "$1" "$2" archive_command)
cd "$2"
count=0
for ready in pg_wal/archive_status/*.ready; do
  [ -f "$ready" ] || continue
  name=\${ready##*/} name=\${name%.ready}
  line=$(printf '%s' "$command" | sed "s|%p|pg_wal/$name|g; s|%f|$name|g; s|%%|%|g")
  sh -c "$line" < /dev/null > /dev/null
  mv "$ready" "\${ready%.ready}.done"
  count=$((count + 1))
done
echo "$count"
`,
};

/** Values: programs, directory, folder, timeline, from, name of the first segment. */
export const exportWal: Script = {
  name: "exportWal",
  text: `
set -eu
umask 077
mkdir -p "$3"
ls "$2/pg_wal" | grep -E '^[0-9A-F]{24}$' |
  awk -v first="x$6" 'substr($0, 1, 8) == substr(first, 2, 8) && "x" $0 >= first' |
  while IFS= read -r name; do cp -p "$2/pg_wal/$name" "$3/$name"; done
"$1/pg_waldump" -p "$2/pg_wal" -t "$4" -s "$5" > "$3/wal.txt" 2> "$3/wal-end.txt" || true
find "$3" -type f -exec sync {} +
`,
};

/**
 * Values: data, id, who arms, the bytes of a segment or "" where an archive has what is missing, the
 * name of the segment with the fork, and then the words of pg_rewind. The node's own files are saved
 * first: pg_rewind puts the source's in their place.
 */
export const rewind: Script = {
  name: "rewind",
  text: `
set -eu
${ownFiles}${rename}${wholeWal}
data=$1 id=$2 by=$3 segment=$4 fork=$5
shift 5
mkdir -p "$data.work-$id/own"
carry "$data.old-$id" "$data.work-$id/own"
cp -a "$data.old-$id/postmaster.opts" "$data.work-$id/own/" 2>/dev/null || true
find "$data.work-$id/own" -type f -exec sync {} +
rename "$data.old-$id" "$data.rewind-$id"
"$@"
if [ -n "$segment" ]; then whole_wal "$data.rewind-$id" "$segment" "$fork"; fi
carry "$data.work-$id/own" "$data.rewind-$id"
arm "$data.rewind-$id" "$by"
rename "$data.rewind-$id" "$data.ready-$id"
`,
};

/**
 * Values: programs, copy. Its files go to the disk while they are read and compared, by two programs
 * at once: each skips only what the other one reads. With very many files there is one.
 */
export const verify: Script = {
  name: "verify",
  text: `
set -u
${halves}
"$1/initdb" --sync-only -D "$2" > /dev/null &
sync=$!
status=0
if [ -x "$1/pg_verifybackup" ]; then verify_halves "$1/pg_verifybackup" "$2" || status=1; fi
wait "$sync" || status=1
exit "$status"
`,
};

/**
 * Values: data, id, who arms, own or source, and, where there is no configuration of its own, the
 * primary_conninfo as it stands between quotes there, and the slot or "".
 */
export const prepare: Script = {
  name: "prepare",
  text: `
set -eu
${ownFiles}${rename}
umask 077
data=$1 id=$2 by=$3 from=$4
new=$data.new-$id
if [ "$from" = own ]; then
  own=$data
  for folder in "$data".rewind-*; do
    if [ ! -d "$own" ] && [ -d "$folder" ]; then own=$data.work-\${folder##*.rewind-}/own; fi
  done
  carry "$own" "$new"
else
  cp "$data.work-$id/passfile" "$new/switchyard.passfile"
  if [ -f "$data.work-$id/ca.pem" ]; then cp "$data.work-$id/ca.pem" "$new/switchyard.ca.pem"; fi
  {
    printf "primary_conninfo = '%s'\\n" "$5"
    printf "primary_slot_name = '%s'\\n" "$6"
  } >> "$new/postgresql.auto.conf"
fi
arm "$new" "$by"
rename "$new" "$data.ready-$id"
`,
};

/** Values: data, id. */
export const swap: Script = {
  name: "swap",
  text: `
set -eu
${rename}
if [ -e "$1" ]; then rename "$1" "$1.old-$2"; fi
rename "$1.ready-$2" "$1"
`,
};

/** Values: data, keep or remove. An interrupted rewind's data counts as old. */
export const clean: Script = {
  name: "clean",
  text: `
set -eu
for folder in "$1".old-* "$1".rewind-*; do
  [ -d "$folder" ] || continue
  if [ "$2" = keep ]; then
    mv "$folder" "$1.kept-\${folder##*.*-}"
  else
    wal=
    if [ -L "$folder/pg_wal" ]; then wal=$(readlink -f "$folder/pg_wal"); fi
    rm -rf "$folder"
    if [ -n "$wal" ] && [ "$wal" != "$(readlink -f "$1/pg_wal")" ]; then rm -rf "$wal"; fi
  fi
done
rm -rf "$1".work-*
`,
};
