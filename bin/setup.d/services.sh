# Keeps package scripts from starting services and from making a default Postgres cluster while we
# install, and undoes both exactly. $ledger holds what must be undone; everything here may be run
# again after any interruption. A file of ours carries the mark; what lacks it is not touched.

mark="bin/setup of Switchyard"
policy=/usr/sbin/policy-rc.d
policy_saved=$policy.kept-by-switchyard
cluster_settings=/etc/postgresql-common/createcluster.conf
cluster_folder=/etc/postgresql-common/createcluster.d
cluster_setting=$cluster_folder/switchyard-setup.conf

# From here on no package script starts or stops a service (policy-rc.d, as Debian defines it). A
# policy of the machine that says so already stays in force; any other is put aside.
hold_services() {
  if [ -e "$policy" ]; then
    if grep -q "$mark" "$policy" 2>/dev/null; then return 0; fi
    "$policy" haproxy start >/dev/null 2>&1
    [ $? -ne 101 ] || return 0
    cp -a "$policy" "$policy_saved.new" && mv "$policy_saved.new" "$policy_saved" ||
      give_up "could not put $policy aside."
  fi
  {
    echo '#!/bin/sh'
    echo "# Made by $mark for the time of its installation; bin/setup takes it away again."
    echo 'exit 101'
  } >"$policy.new" && chmod 755 "$policy.new" && mv "$policy.new" "$policy" ||
    give_up "could not write $policy."
}

release_services() {
  rm -f "$policy.new" "$policy_saved.new"
  grep -q "$mark" "$policy" 2>/dev/null || return 0
  if [ -e "$policy_saved" ] || [ -L "$policy_saved" ]; then
    mv -f "$policy_saved" "$policy"
  else
    rm -f "$policy"
  fi
}

# From here on a Postgres package makes no cluster of its own. Needs postgresql-common in place:
# whether the setting is taken is asked of its own tool, since the machine may have its own file.
hold_default_cluster() {
  command -v pg_conftool >/dev/null || return 0
  [ "$(creates_cluster)" != off ] || return 0
  [ -d "$cluster_folder" ] || : >"$ledger/made-cluster-folder"
  mkdir -p "$cluster_folder"
  {
    echo "# Made by $mark for the time of its installation; bin/setup takes it away again."
    echo 'create_main_cluster = false'
  } >"$cluster_setting"
  [ "$(creates_cluster)" = off ] || give_up \
    "$cluster_settings on this machine does not read $cluster_folder, so installing PostgreSQL would make a cluster." \
    "Write create_main_cluster = false into $cluster_settings, run bin/setup, and take the line out again."
}

creates_cluster() {
  pg_conftool "$cluster_settings" show -bs create_main_cluster 2>/dev/null || true
}

release_default_cluster() {
  rm -f "$cluster_setting"
  [ ! -e "$ledger/made-cluster-folder" ] || rmdir "$cluster_folder" 2>/dev/null
  rm -f "$ledger/made-cluster-folder"
}

# Remembers which service packages are ours to keep from the next boot: those not installed yet.
remember_services() {
  for package in haproxy pgbouncer; do
    case " $* " in
      *" $package "*) is_installed "$package" || : >"$ledger/disable-$package" ;;
    esac
  done
}

# A packaged HAProxy or PgBouncer that nobody configured is not started at boot. Both ways of
# starting are told: systemd (also where it does not run now) and init scripts.
disable_new_services() {
  for file in "$ledger"/disable-*; do
    [ -e "$file" ] || continue
    service=${file##*/disable-}
    if is_installed "$service"; then
      deb-systemd-helper disable "$service.service" >/dev/null 2>&1
      update-rc.d "$service" disable >/dev/null 2>&1
      say "$service is installed; its own service is neither started nor enabled"
    fi
    rm -f "$file"
  done
}

# Undoes everything and takes the ledger away.
undo_all() {
  disable_new_services
  release_default_cluster
  release_services
  rm -rf "$ledger"
}
