# The distribution's packages: what is installed, and installing without upgrading anything.

# Another apt or dpkg at work is waited for, as long as this.
lock_wait_seconds=300
lock_wait=-oDPkg::Lock::Timeout=$lock_wait_seconds

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Packages that were unpacked and never configured, or worse.
half_installed() {
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
    sed -n -E 's/^(unpacked|half-installed|half-configured|triggers-awaited|triggers-pending) //p' | tr '\n' ' '
}

packages_whole() {
  ! ls /var/lib/dpkg/updates/[0-9]* >/dev/null 2>&1 && [ -z "$(half_installed)" ]
}

# apt_says PROGRAM WORD ...: runs it with its output kept in $work/said. When it waits for a lock it
# says so; when it fails the last lines are shown.
apt_says() {
  {
    "$@" </dev/null 2>&1
    echo $? >"$work/status"
  } | {
    told=no
    while IFS= read -r line; do
      printf '%s\n' "$line"
      case $line in
        *"Waiting for cache lock"*)
          [ "$told" = yes ] || say "another apt or dpkg is at work; waiting for it (at most $((lock_wait_seconds / 60)) minutes)"
          told=yes
          ;;
      esac
    done >"$work/said"
  }
  [ "$(cat "$work/status")" -eq 0 ]
}

show_end() {
  tail -n 12 "$work/said" >&2
}

# The lists have a lock of their own that apt-get does not wait for. Sources that could not be read are
# asked once more.
refresh_lists() {
  say "reading the package lists anew (apt-get update)"
  tries=$((lock_wait_seconds / 5))
  told=no
  until apt_says apt-get "$lock_wait" -oAcquire::Retries=2 -oAcquire::http::Timeout=30 update; do
    if not_fetched && wait_once; then continue; fi
    if ! grep -q 'Could not get lock' "$work/said" || [ "$tries" -eq 0 ]; then
      show_end
      give_up "apt-get update failed; its last lines are above." \
        "Check the network and the package sources in /etc/apt, then run bin/setup again."
    fi
    [ "$told" = yes ] || say "another apt is reading the lists; waiting for it"
    told=yes
    tries=$((tries - 1))
    sleep 5
  done
  refreshed=yes
  # A source that cannot be reached is only a warning to apt-get.
  grep -q -E '^(W|E): (Failed to fetch|Some index files failed)' "$work/said" || return 0
  if wait_once; then
    refresh_lists
    return
  fi
  show_end
  say "some package sources could not be read; going on with what is known"
}

# Waits before another try at the sources; false when that was done before.
may_wait=yes
wait_once() {
  [ "$may_wait" = yes ] || return 1
  may_wait=no
  say "some package sources could not be read; trying again in 10 s"
  sleep 10
}

# True when the last thing that apt-get said is that it could not fetch something.
not_fetched() {
  grep -q -E 'Failed to fetch|Unable to fetch|Hash Sum mismatch' "$work/said"
}

# Finishes what an interrupted dpkg left: configures what is unpacked, and installs anew what was cut
# off while it was unpacked.
finish_half_installed() {
  tries=$((lock_wait_seconds / 5))
  # dpkg itself does not wait for its lock, which the interrupted run may still hold for a moment.
  until apt_says dpkg --force-confdef --force-confold --configure -a; do
    grep -q 'lock' "$work/said" && [ "$tries" -gt 0 ] || break
    tries=$((tries - 1))
    sleep 5
  done
  packages_whole && return 0
  apt_says apt-get "$lock_wait" -y --no-install-recommends --no-remove --fix-broken install
  half=$(half_installed)
  [ -z "$half" ] ||
    # shellcheck disable=SC2086 # a list of words
    apt_says apt-get "$lock_wait" -y --no-install-recommends --no-remove --reinstall install $half
  packages_whole || {
    show_end
    give_up "some packages are still half installed: $(half_installed)" \
      "Settle them (dpkg --configure -a, apt-get --fix-broken install), then run bin/setup again."
  }
}

# install_with_apt PACKAGE ...: the packages and what they need, nothing recommended, no removal. A
# need that could only be met by upgrading something is refused before anything is changed.
refreshed=no
install_with_apt() {
  if ! plan_with_apt "$@"; then
    [ "$refreshed" = yes ] || refresh_lists
    plan_with_apt "$@" || {
      show_end
      give_up "apt-get cannot install: $*; its last lines are above." \
        "Check the network, and the sources in /etc/apt: the packages are in the distribution's main section (Ubuntu: main and universe)."
    }
  fi
  refuse_upgrades "$@"
  grep -q '^Inst ' "$work/said" || return 0
  say "installing with apt-get: $(sed -n 's/^Inst \([^ ]*\) .*/\1/p' "$work/said" | tr '\n' ' ')"
  remember_services "$@"
  installs_left=2
  until apt_install "$@"; do
    if ! packages_whole || [ "$installs_left" -eq 0 ]; then fail_install "$@"; fi
    installs_left=$((installs_left - 1))
    if [ "$refreshed" = no ]; then
      # Lists older than the archive name files that are gone.
      refresh_lists
      plan_with_apt "$@" && refuse_upgrades "$@"
    elif not_fetched; then
      say "apt-get could not fetch everything; trying again in 10 s"
      sleep 10
    else
      fail_install "$@"
    fi
  done
}

apt_install() {
  apt_says apt-get "$lock_wait" -oDpkg::Use-Pty=0 -oAcquire::Retries=2 -oAcquire::http::Timeout=30 \
    -oDpkg::Options::=--force-confdef -oDpkg::Options::=--force-confold \
    -y --no-install-recommends --no-upgrade --no-remove install "$@"
}

plan_with_apt() {
  apt_says apt-get -s --no-install-recommends --no-upgrade --no-remove install "$@"
}

refuse_upgrades() {
  upgrades=$(sed -n 's/^Inst \([^ ]*\) \[.*/\1/p' "$work/said" | tr '\n' ' ')
  [ -z "$upgrades" ] || give_up "installing $* would upgrade what is installed: $upgrades" \
    "bin/setup upgrades nothing. Do it yourself when it suits: apt-get install --only-upgrade $upgrades" \
    "Then run bin/setup again."
}

fail_install() {
  show_end
  give_up "apt-get could not install: $*; its last lines are above." \
    "Check the network, the free space (df -h /) and the sources in /etc/apt, then run bin/setup again."
}
