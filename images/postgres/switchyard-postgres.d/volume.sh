# What the volume holds. Data that is there is never made anew, moved or mended by the entry point.

holds_database() {
  [ -s "$PGDATA/PG_VERSION" ] || return 1
  version=$(cat "$PGDATA/PG_VERSION")
  program=$(postgres --version | sed 's/.* \([0-9]*\)[.].*/\1/')
  [ "$version" = "$program" ] || give_up 78 \
    "$PGDATA is of PostgreSQL $version and this image has $program." \
    "Take an image with PostgreSQL $version, or upgrade the data (pg_upgrade)."
  # Ours to note as well where the data came with the volume.
  [ -e "$made" ] || touch "$made" 2>/dev/null || true
}

# A data directory that was here and is not any more is a matter for an operator: an empty primary
# in its place would take writes that belong to the data that is missing.
refuse_lost_database() {
  folder=${PGDATA%/*}
  [ -d "$folder" ] || mkdir -p "$folder" 2>/dev/null || true
  [ -w "$folder" ] || give_up 78 "$folder cannot be written by $(id -un) (uid $(id -u))." \
    "Mount a volume there, or a folder of that uid."
  if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    give_up 78 "$PGDATA is not empty, and there is no database in it (no PG_VERSION); it is left alone."
  fi
  if [ -e "$made" ]; then
    give_up 78 "$PGDATA is not there, but this volume has held a database: nothing is made in its place." \
      "Put it back (an unfinished rebuild: bin/recovery ENV rebuild-standby), or remove $made to begin anew."
  fi
  for other in "$PGDATA".*; do
    if [ -e "$other/PG_VERSION" ]; then
      give_up 78 "$PGDATA is not there, but $other is a data directory: nothing is made in its place." \
        "Put it back (an unfinished rebuild: bin/recovery ENV rebuild-standby), or move it out of the volume."
    fi
  done
}

is_monitor() {
  [ -e "$(keeper_configuration)" ]
}

# Where pg_autoctl keeps what it knows of a data directory; its state lies beside it (share).
keeper_configuration() {
  printf '%s\n' "$XDG_CONFIG_HOME/pg_autoctl$PGDATA/pg_autoctl.cfg"
}

# Inside the volume, or the monitor would be a stranger to its own data after the next start.
export XDG_CONFIG_HOME="${PGDATA%/*}/.config" XDG_DATA_HOME="${PGDATA%/*}/.local/share"
