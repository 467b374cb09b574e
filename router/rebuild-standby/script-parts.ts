/**
 * Shell functions that the scripts of a rebuild share. What they do to a data directory is to its own
 * path alone; values come as arguments.
 */

/** Ends the processes of an earlier rebuild. */
export const endWorkers = `
end_workers() {
  tries=0
  while left=$(workers "$1"); [ -n "$left" ]; do
    tries=$((tries + 1))
    name=TERM
    [ "$tries" -lt 20 ] || name=KILL
    [ "$tries" -lt 100 ] || { echo "processes $left do not end" >&2; exit 1; }
    kill -s "$name" $left 2>/dev/null || true
    sleep 0.1
  done
}
`;

/** Files at the top of a data directory that are the node's own and no part of a backup; and arming. */
export const ownFiles = `
own_files() {
  for file in "$1"/* "$1"/.[!.]*; do
    if [ ! -e "$file" ] && [ ! -L "$file" ]; then continue; fi
    case "\${file##*/}" in
      pg_hba.conf|pg_ident.conf) ;;
      PG_VERSION|base|global|pg_*|postmaster.*|standby.signal*|recovery.signal*) continue ;;
      backup_label*|backup_manifest*|tablespace_map*|current_logfiles|promote|log|core*) continue ;;
    esac
    printf '%s\\n' "\${file##*/}"
  done
}
carry() {
  own_files "$1" | while IFS= read -r name; do
    rm -rf "$2/$name"
    cp -a "$1/$name" "$2/$name"
  done
}
arm() {
  rm -f "$1/recovery.signal" "$1/promote"
  printf 'switchyard %s\\n' "$2" > "$1/standby.signal"
  find "$1" -maxdepth 1 -type f -exec sync {} +
  sync "$1"
}
`;

/** Renames a directory, durably, to a name that is not taken. */
export const rename = `
rename() {
  if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 is there already" >&2; exit 1; fi
  mv "$1" "$2"
  sync "$(dirname "$2")"
}
`;

/**
 * Ends the script where data that starts by its backup_label lacks WAL from there to its newest
 * segment: its source may have it no longer, and it would wait for ever. Words: directory, bytes of
 * a segment, name of the segment with the fork: from there on only later timelines count.
 */
export const wholeWal = `
number_of() { echo $((0x\${1%????????} * per + 0x\${1#????????})); }
whole_wal() {
  per=$((0x100000000 / $2)) forked=\${3%????????????????}
  first=$(sed -n 's/^START WAL LOCATION: .*(file \\([0-9A-F]*\\)).*/\\1/p' "$1/backup_label")
  newest=$(ls "$1/pg_wal" | grep -E '^[0-9A-F]{24}$' | cut -c 9- | sort | tail -n 1)
  number=$(number_of "\${first#????????}")
  fork=$(number_of "\${3#????????}") last=$(number_of "$newest")
  while [ "$number" -le "$last" ]; do
    suffix=$(printf '%08X%08X' $((number / per)) $((number % per)))
    found=
    for file in "$1"/pg_wal/????????"$suffix"; do
      timeline=\${file##*/} timeline=\${timeline%"$suffix"}
      [ -e "$file" ] || continue
      if [ "$number" -lt "$fork" ] || [ "x$timeline" \\> "x$forked" ]; then found=yes; fi
    done
    if [ -z "$found" ]; then
      echo "WAL segment $suffix is missing, which is needed from $first on" >&2
      exit 1
    fi
    number=$((number + 1))
  done
}
`;

/**
 * Verifies a backup by two programs. The first one skips a half of what lies in base, by size; the
 * second one all but that. Both lists come from one listing, so a file that is in neither half, or is
 * missing, is not skipped by the first. Words: pg_verifybackup, directory.
 */
export const halves = `
verify_halves() {
  listed=$(cd "$2" && find base -type f -printf '%s %p\\n' | sort -rn) || return 1
  if [ "$(printf '%s\\n' "$listed" | wc -l)" -gt 4000 ]; then
    "$1" --quiet "$2"
    return
  fi
  half() {
    printf '%s\\n' "$listed" | awk -v half="$1" '{
      lighter = sums[1] <= sums[2] ? 1 : 2
      sums[lighter] += $1
      if (lighter == half) print "--ignore=" $2
    }'
  }
  { half 1; ls -A "$2" | grep -v '^base$' | sed 's/^/--ignore=/'; } |
    xargs -x -d '\\n' "$1" --quiet --no-parse-wal "$2" &
  second=$!
  half 2 | xargs -x -d '\\n' "$1" --quiet "$2"
  first=$?
  wait "$second" && [ "$first" -eq 0 ]
}
`;
