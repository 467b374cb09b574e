# Making a data directory: aside, then renamed, so that whatever ends it leaves no data directory.

# Takes away what an attempt before this one left: nothing of it was ever in use. From here on a
# signal ends the making, and nothing half made stays behind.
make_ready() {
  rm -rf "$making"
  trap 'stopped TERM 143' TERM
  trap 'stopped INT 130' INT
}

# doing WORD ...: runs one long program so that a signal is heard at once and not at its end.
doing() {
  "$@" &
  child=$!
  wait "$child" && status=0 || status=$?
  child=
  return "$status"
}

child=
stopped() {
  trap '' TERM INT
  say "got SIG$1 while making the data directory: nothing of it is kept"
  [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; }
  stop_making
  drop_making
  exit "$2"
}

# What still writes there ends in a moment: the second process of a pg_basebackup, which streams WAL
# and notices the end of the first one.
drop_making() {
  drops_left=50
  until rm -rf "$making" 2>/dev/null; do
    drops_left=$((drops_left - 1))
    [ "$drops_left" -gt 0 ] || { rm -rf "$making" || true; return 0; }
    sleep 0.1
  done
}

# Ends the server that an unfinished data directory may have.
stop_making() {
  for folder in "$making" "$PGDATA"; do
    [ ! -e "$folder/postmaster.pid" ] || pg_ctl -D "$folder" -m immediate -w -t 10 stop >/dev/null 2>&1 || true
  done
  drop_unfinished_monitor
}

# give_up_making CODE LINE ...: the same for what went wrong.
give_up_making() {
  stop_making
  drop_making
  give_up "$@"
}

# What was made takes its place, and outlives a power cut from here on.
keep_made() {
  sync -f "$making"
  [ ! -d "$PGDATA" ] || rmdir "$PGDATA" || give_up_making 78 \
    "$PGDATA is itself a mount: mount its parent, or set PGDATA to a folder inside it."
  # In this order: cut off in between, the next start finds data and notes it.
  mv -T "$making" "$PGDATA"
  touch "$made"
  sync "$PGDATA" "$made" "${PGDATA%/*}"
}

# include_configuration: POSTGRES_CONFIG_FILE is read at the end of postgresql.conf. It need not be
# there always: tools that work on the data in another container may not have it.
include_configuration() {
  [ -n "${POSTGRES_CONFIG_FILE:-}" ] || return 0
  line="include_if_exists = $(quote_setting "$POSTGRES_CONFIG_FILE")"
  grep -qxF "$line" "$making/postgresql.conf" || printf '\n%s\n' "$line" >>"$making/postgresql.conf"
}

# quote_setting VALUE: as postgresql.conf reads it.
quote_setting() {
  printf "'%s'\n" "$(printf '%s' "$1" | sed "s/'/''/g; s/\\\\/\\\\\\\\/g")"
}

# start_making: its server, for the socket in the unfinished directory alone: nobody else gets in.
start_making() {
  doing pg_ctl -D "$making" -w -t 60 -s -l "$making/making.log" start \
    -o "-c listen_addresses='' -c unix_socket_directories='$making' -c hba_file='$making/making.hba' -c config_file='$making/postgresql.conf' -p $port"
}

end_making() {
  doing pg_ctl -D "$making" -m fast -w -t 120 -s stop
  rm -f "$making/making.log" "$making/making.hba"
}

# ask_making DATABASE WORD for psql ...: as the superuser; statements come by words or standard input.
ask_making() {
  database=$1
  shift
  psql -XqAt -v ON_ERROR_STOP=1 --no-password -h "$making" -p "$port" -U "$superuser" -d "$database" "$@"
}
