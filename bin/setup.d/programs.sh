# The programs that we run and do not bring ourselves, and what is missing of them. A program counts
# wherever it came from; its package is only how it is installed when it is absent.

oldest_postgres=15
oldest_haproxy=2.6
program_folders="/usr/sbin /usr/bin /usr/local/sbin /usr/local/bin /sbin /bin"

# PROGRAM PACKAGE, one a line. Postgres is found by its own rule below.
programs_table() {
  cat <<'ROWS'
haproxy haproxy
pgbouncer pgbouncer
nft nftables
ss iproute2
ps procps
runuser util-linux
setpriv util-linux
flock util-linux
ipcrm util-linux
ROWS
}

find_program() {
  for folder in $program_folders; do
    if [ -x "$folder/$1" ]; then
      printf '%s\n' "$folder/$1"
      return 0
    fi
  done
  return 1
}

# Prints the newest usable major version of PostgreSQL here. PATH is not asked: what stands there
# may be a wrapper or another build; packages put the servers into these folders.
postgres_major() {
  newest=0
  for initdb in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$initdb" ] && [ -x "${initdb%initdb}postgres" ] || continue
    major=${initdb#/usr/lib/postgresql/}
    major=${major%%/*}
    case $major in '' | *[!0-9]*) continue ;; esac
    [ "$major" -gt "$newest" ] && newest=$major
  done
  [ "$newest" -ge "$oldest_postgres" ] && printf '%s\n' "$newest"
}

# at_least VERSION WANTED: compares dotted numbers.
at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

haproxy_version() {
  program=$(find_program haproxy) || return 1
  "$program" -v 2>/dev/null | sed -n '1s/^HA-\{0,1\}Proxy version \([0-9.]*\).*/\1/p'
}

# The packages to install, one a line; nothing when all programs are there.
missing_packages() {
  major=$(postgres_major)
  [ -n "$major" ] || echo postgresql
  {
    programs_table | while read -r program package; do
      find_program "$program" >/dev/null || echo "$package"
    done
    [ -z "$major" ] || monitor_packages "$major"
  } | sort -u
}

# monitor_packages MAJOR: what pg_auto_failover lacks for that Postgres. A Postgres that no package
# brought has no such package, and does without a monitor.
monitor_packages() {
  if [ -e "/usr/share/postgresql/$1/extension/pgautofailover.control" ] &&
    find_program pg_autoctl >/dev/null; then return 0; fi
  [ "$(dpkg-query -W -f '${db:Status-Status}' "postgresql-$1" 2>/dev/null)" = installed ] || return 0
  echo pg-auto-failover-cli
  echo "postgresql-$1-auto-failover"
}

# Where install-packages keeps what it must undo; it is there only while it works, or when it was
# ended in the middle.
ledger=/var/lib/switchyard-setup

# What is wrong with the programs, a line each; nothing when all is well.
programs_problems() {
  for package in $(missing_packages); do echo "the package $package"; done
  [ ! -d "$ledger" ] || echo "the end of an installation of packages that was interrupted"
  version=$(haproxy_version) || version=
  if [ -n "$version" ] && ! at_least "$version" "$oldest_haproxy"; then
    echo "HAProxy $oldest_haproxy or newer (here is $version)"
  fi
}

# One phrase that names what is here.
programs_found() {
  pgbouncer=$(find_program pgbouncer)
  printf 'PostgreSQL %s, PgBouncer %s, HAProxy %s' "$(postgres_major)" \
    "$("$pgbouncer" --version 2>/dev/null | sed -n '1s/PgBouncer //p')" "$(haproxy_version)"
}

# Installs what is missing, as root or through sudo, and checks that it is there.
install_programs() {
  version=$(haproxy_version) || version=
  if [ -n "$version" ] && ! at_least "$version" "$oldest_haproxy"; then
    give_up "HAProxy $version is installed, and $oldest_haproxy or newer is needed." \
      "bin/setup upgrades nothing that is installed. Upgrade it: apt-get install --only-upgrade haproxy"
  fi
  packages=$(missing_packages | tr '\n' ' ')
  command -v apt-get >/dev/null || give_up \
    "this is not a Debian-like machine (there is no apt-get), and these packages are missing: $packages" \
    "Install PostgreSQL $oldest_postgres or newer under /usr/lib/postgresql, PgBouncer, HAProxy $oldest_haproxy or newer, nftables, iproute2, procps and util-linux in your system's own way, then run bin/setup again."
  install_as_root "$packages"
  # Only now is it known which Postgres there is, and with it its extensions.
  packages=$(missing_packages | tr '\n' ' ')
  [ -z "$packages" ] || install_as_root "$packages"
  left=$(programs_problems)
  [ -z "$left" ] || give_up "the packages were installed, and this is still missing:" "$left"
}

# install_as_root PACKAGES: a list in one word, with what bin/setup promises of installing.
install_as_root() {
  need_root "installing $1" "Or, as root: $parts/install-packages $1"
  # shellcheck disable=SC2086 # both are lists of words
  $as_root sh "$parts/install-packages" $1 || exit $?
}

# need_root WHAT HOW: sets as_root to what makes a command run as root: nothing, or sudo.
need_root() {
  as_root=
  [ "$(id -u)" -ne 0 ] || return 0
  command -v sudo >/dev/null || give_up "$1 needs root, and there is no sudo here." "Run bin/setup as root." "$2"
  if [ -t 2 ]; then as_root=sudo; else as_root="sudo -n"; fi
  say "with sudo: $1"
  $as_root true || give_up "$1 needs root, and sudo did not let $(id -un) through." "Run bin/setup as root." "$2"
}
