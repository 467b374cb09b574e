# A new primary: initdb with checksums, the superuser's password from a file, a database, and what
# /docker-entrypoint-initdb.d/*.sql say, once.

make_primary() {
  superuser=${POSTGRES_USER:-postgres}
  database_name=${POSTGRES_DB:-$superuser}
  say "making a new primary in $PGDATA"
  need_file "${POSTGRES_PASSWORD_FILE:-}" POSTGRES_PASSWORD_FILE
  # The password goes by descriptor, not by a word that others could read. Locally the user of this
  # container is the superuser by the kernel's word.
  # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS is a list of words
  doing initdb -D "$making" --username="$superuser" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 --data-checksums --no-instructions \
    ${POSTGRES_PASSWORD_FILE:+--pwfile="$POSTGRES_PASSWORD_FILE"} ${POSTGRES_INITDB_ARGS:-} >&2 ||
    give_up_making 78 "initdb ended with exit code $?; its words are above."
  write_rules
  include_configuration
  run_first_statements
  keep_made
  say "made a new primary in $PGDATA"
}

# need_file PATH NAME: fine when not given; else it must be readable and hold something.
need_file() {
  [ -z "$1" ] || [ -s "$1" ] && [ -r "${1:-/dev/null}" ] ||
    give_up 78 "$2 is $1, and that file cannot be read by uid $(id -u), or is empty."
}

# Who gets in where POSTGRES_HBA_FILE says nothing: by password from anywhere, standbys as well, and
# inside the container the user postgres as the superuser, whatever that is called.
write_rules() {
  cat >"$making/pg_hba.conf" <<RULES
# TYPE  DATABASE     USER  ADDRESS  METHOD
local   all          all            peer map=container
local   replication  all            peer map=container
host    all          all   all      scram-sha-256
host    replication  all   all      scram-sha-256
RULES
  cat >"$making/pg_ident.conf" <<MAP
# MAPNAME  SYSTEM-USERNAME  PG-USERNAME
container  postgres         "$(printf '%s' "$superuser" | sed 's/"/""/g')"
MAP
  printf '\n%s\n' "listen_addresses = '*'" >>"$making/postgresql.conf"
}

run_first_statements() {
  set -- /docker-entrypoint-initdb.d/*.sql
  [ -e "$1" ] || set --
  [ $# -gt 0 ] || [ "$database_name" != postgres ] || return 0
  printf '%s\n' 'local all all trust' >"$making/making.hba"
  start_making || give_up_making 78 "the new primary does not start: $(tail -n 5 "$making/making.log")"
  if [ "$database_name" != postgres ]; then
    printf '%s\n' 'CREATE DATABASE :"name";' |
      ask_making postgres -v name="$database_name" ||
      give_up_making 78 "could not make the database $database_name; PostgreSQL's words are above."
  fi
  for file in "$@"; do
    say "running $file"
    doing ask_making "$database_name" -f "$file" ||
      give_up_making 78 "$file failed; PostgreSQL's words are above. Nothing is kept."
  done
  end_making || give_up_making 78 "the new primary does not stop after its first statements."
}
