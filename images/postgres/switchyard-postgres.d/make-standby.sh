# A new standby: a base backup of the primary that PRIMARY_CONNINFO names, and what it needs to
# follow. Passwords stay in the passfile: what is written into the data names that file alone.

make_standby() {
  [ -n "${PRIMARY_CONNINFO:-}" ] || give_up 78 "PRIMARY_CONNINFO is not set: a standby needs to know what to copy." \
    "Such as: PRIMARY_CONNINFO='host=10.0.0.1 user=replicator application_name=chi-02' PRIMARY_PASSFILE=/run/secrets/passfile"
  case " $PRIMARY_CONNINFO" in
    *[[:space:]]password[[:space:]=]* | *://*:*@* | *[?\&]password=*)
      give_up 78 "PRIMARY_CONNINFO holds a password, which everybody could read: put it into the file that PRIMARY_PASSFILE names." ;;
  esac
  need_file "${PRIMARY_PASSFILE:-}" PRIMARY_PASSFILE
  [ -z "${PRIMARY_PASSFILE:-}" ] || export PGPASSFILE="$PRIMARY_PASSFILE"
  wait_for_primary
  claim_slot
  say "copying the primary into $PGDATA"
  doing pg_basebackup -D "$making" -d "$PRIMARY_CONNINFO" --no-password --wal-method=stream \
    --checkpoint=fast ${PRIMARY_SLOT:+--slot="$PRIMARY_SLOT"} ||
    give_up_making 69 "pg_basebackup ended with exit code $?; its words are above. Nothing of the copy is kept."
  write_standby_settings
  include_configuration
  keep_made
  say "copied the primary into $PGDATA"
}

# ask_primary STATEMENT: over a replication connection, which is all that such a login may have.
ask_primary() {
  psql -XqAt -v ON_ERROR_STOP=1 --no-password -d "$(conninfo_for_copy)" -c "$1"
}

conninfo_for_copy() {
  case $PRIMARY_CONNINFO in
    *://*\?*) printf '%s&replication=true&connect_timeout=5\n' "$PRIMARY_CONNINFO" ;;
    *://*) printf '%s?replication=true&connect_timeout=5\n' "$PRIMARY_CONNINFO" ;;
    *) printf '%s replication=true connect_timeout=5\n' "$PRIMARY_CONNINFO" ;;
  esac
}

# It may be still starting; longer than this, the engine's restart policy tries again.
wait_for_primary() {
  tries=${PRIMARY_WAIT_SECONDS:-60}
  until said=$(ask_primary IDENTIFY_SYSTEM 2>&1); do
    [ "$tries" -gt 0 ] || give_up 69 "the primary that PRIMARY_CONNINFO names does not answer: $said"
    tries=$((tries - 1))
    doing sleep 1
  done
}

# A slot that an attempt before this one made is taken up again.
claim_slot() {
  [ -n "${PRIMARY_SLOT:-}" ] || return 0
  case $PRIMARY_SLOT in
    *[!a-z0-9_]*) give_up 78 "PRIMARY_SLOT is $PRIMARY_SLOT; a slot's name has a-z, 0-9 and _ alone." ;;
  esac
  [ -n "$(ask_primary "READ_REPLICATION_SLOT $PRIMARY_SLOT" | tr -d '|')" ] ||
    ask_primary "CREATE_REPLICATION_SLOT $PRIMARY_SLOT PHYSICAL (RESERVE_WAL)" >/dev/null ||
    give_up 69 "could not make the replication slot $PRIMARY_SLOT on the primary; its words are above."
}

write_standby_settings() {
  conninfo=$PRIMARY_CONNINFO
  if [ -n "${PRIMARY_PASSFILE:-}" ]; then
    case $conninfo in
      *://*\?*) conninfo="$conninfo&passfile=$PRIMARY_PASSFILE" ;;
      *://*) conninfo="$conninfo?passfile=$PRIMARY_PASSFILE" ;;
      *) conninfo="$conninfo passfile='$(printf '%s' "$PRIMARY_PASSFILE" | sed "s/['\\\\]/\\\\&/g")'" ;;
    esac
  fi
  {
    printf 'primary_conninfo = %s\n' "$(quote_setting "$conninfo")"
    [ -z "${PRIMARY_SLOT:-}" ] || printf "primary_slot_name = '%s'\n" "$PRIMARY_SLOT"
  } >>"$making/postgresql.auto.conf"
  : >"$making/standby.signal"
}
