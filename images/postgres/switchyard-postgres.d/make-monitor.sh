# A new monitor of pg_auto_failover. pg_autoctl writes the path of its data into its own files, so a
# monitor is made in its place; a note beside it says that it is unfinished, and stands in for the
# rename that other data directories get.

make_monitor() {
  hostname=${MONITOR_HOSTNAME:-$(hostname)}
  say "making a new monitor in $PGDATA, as $hostname"
  need_file "${MONITOR_PASSWORD_FILE:-}" MONITOR_PASSWORD_FILE
  case ${MONITOR_SSL:-none} in
    none) encryption=--no-ssl ;;
    self-signed) encryption=--ssl-self-signed ;;
    *) give_up 78 "MONITOR_SSL is $MONITOR_SSL; it is none or self-signed." ;;
  esac
  mkdir "$making"
  : >"$making/monitor"
  # Who gets in is written here: pg_autoctl's own rules name the network that it guesses to be in.
  doing pg_autoctl create monitor --pgdata "$PGDATA" --pgport "$port" --hostname "$hostname" \
    --skip-pg-hba "$encryption" >&2 ||
    give_up_monitor "pg_autoctl ended with exit code $?; its words are above."
  write_monitor_rules
  write_monitor_settings
  set_monitor_password
  sync -f "$PGDATA"
  # From here on it is finished.
  rm "$making/monitor"
  rm -rf "$making"
  touch "$made"
  sync "$made" "${PGDATA%/*}"
  say "made a new monitor in $PGDATA"
}

# Of a monitor that was never finished nothing was ever in use: it goes, with what pg_autoctl knows.
drop_unfinished_monitor() {
  [ -e "$making/monitor" ] || return 0
  rm -rf "$PGDATA" "$XDG_CONFIG_HOME/pg_autoctl" "$XDG_DATA_HOME/pg_autoctl" "$making"
}

give_up_monitor() {
  drop_unfinished_monitor
  give_up 78 "$@" "Nothing of the monitor is kept."
}

# pg_autoctl itself comes over the socket, as several roles; the data nodes come with the password.
write_monitor_rules() {
  cat >"$PGDATA/pg_hba.conf" <<RULES
# TYPE  DATABASE          USER          ADDRESS  METHOD
local   all               all                    peer map=container
host    pg_auto_failover  autoctl_node  all      scram-sha-256
RULES
  cat >"$PGDATA/pg_ident.conf" <<MAP
# MAPNAME  SYSTEM-USERNAME  PG-USERNAME
container  postgres         postgres
container  postgres         autoctl
container  postgres         autoctl_node
MAP
}

# Read after pg_autoctl's own settings, which take a quarter of the machine's memory for a database of
# a few rows, and write the log where nobody looks in a container.
write_monitor_settings() {
  printf '\n%s\n' "shared_buffers = 64MB" "logging_collector = off" >>"$PGDATA/postgresql.conf"
  [ -z "${POSTGRES_CONFIG_FILE:-}" ] ||
    printf 'include_if_exists = %s\n' "$(quote_setting "$POSTGRES_CONFIG_FILE")" >>"$PGDATA/postgresql.conf"
}

# By a server that only listens in our own folder. The password is in no word of a command and in no
# log: pg_autoctl has the server log such statements.
set_monitor_password() {
  [ -n "${MONITOR_PASSWORD_FILE:-}" ] || return 0
  doing pg_ctl -D "$PGDATA" -w -t 60 -s -l "$making/log" start \
    -o "-c listen_addresses='' -c unix_socket_directories='$making' -p $port" ||
    give_up_monitor "the new monitor does not start: $(tail -n 5 "$making/log")"
  psql -Xq -v ON_ERROR_STOP=1 --no-password -h "$making" -p "$port" -d postgres >/dev/null <<'STATEMENTS' ||
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
\set password `cat "$MONITOR_PASSWORD_FILE"`
ALTER ROLE autoctl_node PASSWORD :'password';
STATEMENTS
    give_up_monitor "could not set the password of autoctl_node; PostgreSQL's words are above."
  doing pg_ctl -D "$PGDATA" -m fast -w -t 60 -s stop ||
    give_up_monitor "the new monitor does not stop."
}
