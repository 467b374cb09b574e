# The image that all of ours stand on: debian:trixie-slim, pulled; or, where no registry can be
# reached, a Debian 13 made with debootstrap, made small, and imported under the same name.

base_name=debian:trixie-slim
base_suite=trixie
debian_mirror=${SWITCHYARD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
pull_seconds=60

have_base() {
  engine image inspect "$base_name" >/dev/null 2>&1
}

bring_base() {
  have_base && return 0
  say "pulling $base_name (at most $pull_seconds s)"
  if engine_says timeout -k 5 "$pull_seconds" docker pull -q "$base_name" && have_base; then
    say "pulled $base_name ($(since_step) s)"
    return 0
  fi
  why=$(tail -n 1 "$work/said")
  say "$base_name could not be pulled: ${why:-no answer within $pull_seconds s}"
  make_base "$why"
}

make_base() {
  rescue="Or bring the image in by hand, from a machine that has it: docker save $base_name | ssh THIS-MACHINE docker load"
  [ "$(id -u)" -eq 0 ] || give_up "without $base_name from a registry it must be made with debootstrap, which needs root; here it is $(id -un)." \
    "Run bin/setup --docker as root." "$rescue"
  command -v debootstrap >/dev/null || install_debootstrap "$rescue"
  need_space "$work_parent" 1 "making $base_name"
  say "making $base_name with debootstrap from $debian_mirror (some minutes)"
  root=$work/root
  # A mirror that does not answer would be tried for many minutes, file by file.
  run_debootstrap || again_debootstrap || {
    tail -n 5 "$work/said" >&2
    give_up "debootstrap could not make $base_name from $debian_mirror; its last lines are above." \
      "Check the network, or name another mirror: SWITCHYARD_DEBIAN_MIRROR=http://… bin/setup --docker" "$rescue"
  }
  make_current
  make_small
  # Two steps, so that a tar that breaks off is not taken for a whole system.
  engine_says tar -C "$root" --numeric-owner --xattrs --one-file-system -cf "$work/root.tar" . ||
    give_up "could not pack $base_name: $(tail -n 1 "$work/said")"
  rm -rf --one-file-system "$root"
  engine_says docker import --change 'CMD ["bash"]' --change 'LABEL org.switchyard.image=debian' "$work/root.tar" "$base_name" ||
    give_up "docker import could not take $base_name: $(tail -n 1 "$work/said")" "$rescue"
  rm -f "$work/root.tar"
  say "made $base_name ($(since_step) s)"
}

run_debootstrap() {
  engine_says timeout -k 5 1200 debootstrap --variant=minbase "$base_suite" "$root" "$debian_mirror"
}

# Once more from the beginning, unless it took all the time that it may.
again_debootstrap() {
  case $job_status in 124 | 137) return 1 ;; esac
  say "debootstrap ended with exit code $job_status; trying again in 10 s: $(tail -n 1 "$work/said")"
  sleep 10
  for folder in proc sys; do umount "$root/$folder" 2>/dev/null; done
  rm -rf --one-file-system "$root"
  run_debootstrap
}

install_debootstrap() {
  command -v apt-get >/dev/null || give_up "$base_name can neither be pulled nor made: there is no debootstrap and no apt-get." "$1"
  sh "$parts/install-packages" debootstrap || exit $?
}

# debootstrap knows one suite; the corrections of the others are taken as an official image has them.
make_current() {
  rm -f "$root/etc/apt/sources.list"
  cat >"$root/etc/apt/sources.list.d/debian.sources" <<SOURCES
Types: deb
URIs: $debian_mirror
Suites: $base_suite $base_suite-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: ${debian_mirror%/debian}/debian-security
Suites: $base_suite-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
SOURCES
  container_manners
  take_corrections || again_corrections $? || {
    tail -n 5 "$work/said" >&2
    give_up "the corrections for $base_name could not be had from $debian_mirror; apt's last lines are above." \
      "Check the network, or name another mirror: SWITCHYARD_DEBIAN_MIRROR=http://… bin/setup --docker"
  }
}

# Once more, unless it took all the time that it may: a mirror drops a connection now and then.
again_corrections() {
  case $1 in 124 | 137) return 1 ;; esac
  say "the corrections for $base_name could not be had; trying again in 10 s: $(tail -n 1 "$work/said")"
  sleep 10
  take_corrections
}

take_corrections() {
  engine_says env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    timeout -k 5 900 chroot "$root" sh -c 'apt-get update && apt-get -y dist-upgrade'
}

# What a container's apt and dpkg do otherwise than a machine's: no service is started by a package,
# nothing is kept that can be had again, and documents and translations stay out.
container_manners() {
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  cat >"$root/etc/apt/apt.conf.d/docker" <<'APT'
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
APT
  cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'DPKG'
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/linda/*
DPKG
}

# Takes out what the rules above would not have let in, and what belongs to this machine alone: its
# name server and its name.
make_small() {
  find "$root/usr/share/doc" -mindepth 2 ! -name copyright ! -type d -delete
  find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
  for folder in man info locale groff lintian linda; do
    [ ! -d "$root/usr/share/$folder" ] || find "$root/usr/share/$folder" -mindepth 1 -delete
  done
  find "$root/var/lib/apt/lists" "$root/var/cache/apt" "$root/var/log" -type f -delete
  rm -f "$root/var/cache/debconf/"*-old "$root/var/lib/dpkg/"*-old "$root/etc/"*-
  rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/etc/machine-id"
  : >"$root/etc/machine-id"
}
