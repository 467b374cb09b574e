# The engine: is one there, may we speak to it, and, where it is this machine's own and absent,
# installing and starting it.

# Prints one word: answers, no-command, forbidden or silent.
engine_state() {
  command -v docker >/dev/null || { echo no-command; return; }
  if said=$(timeout -k 2 15 docker version --format '{{.Server.Version}}' 2>&1 </dev/null); then
    echo answers
    return
  fi
  case $said in
    *"ermission denied"*) echo forbidden ;;
    *) echo silent ;;
  esac
}

engine_words() {
  case $1 in
    no-command) echo "there is no docker command" ;;
    forbidden) echo "$(engine_name) lets $(id -un) not in" ;;
    *) echo "$(engine_name) does not answer" ;;
  esac
}

# The address that the docker command speaks to.
engine_name() {
  if [ -n "${DOCKER_HOST:-}" ]; then
    printf '%s\n' "$DOCKER_HOST"
  else
    docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo unix:///var/run/docker.sock
  fi
}

engine_is_own() {
  case $(engine_name) in
    unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
    *) return 1 ;;
  esac
}

bring_engine() {
  state=$(engine_state)
  [ "$state" != no-command ] || {
    install_engine
    state=$(engine_state)
  }
  [ "$state" != silent ] || start_engine
  state=$(engine_state)
  case $state in
    answers) ;;
    forbidden)
      give_up "the Docker Engine at $(engine_name) lets $(id -un) not in: no permission on its socket." \
        "Let this user in: usermod -aG docker $(id -un), then log in anew (that group is as good as root)." \
        "Or run bin/setup --docker as root, or name another engine in DOCKER_HOST."
      ;;
    *) give_up "there is still no Docker Engine: $(engine_words "$state")." ;;
  esac
}

install_engine() {
  [ -z "${DOCKER_HOST:-}" ] || say "DOCKER_HOST is $DOCKER_HOST; for it the docker command alone is needed"
  command -v apt-get >/dev/null || give_up "there is no docker command on this machine, and no apt-get to install it with." \
    "Install a Docker Engine (20.10 or newer) in your system's own way, then run bin/setup --docker again."
  # From Debian 13 on, the command is a package of its own.
  packages="docker.io ca-certificates"
  if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
  install_as_root "$packages"
  command -v docker >/dev/null || give_up "docker.io was installed, and there is still no docker command on PATH."
  say "installed the Docker Engine ($(since_step) s)"
  did=yes
}

# Starts this machine's own engine; whose it is otherwise, is not ours to start.
start_engine() {
  engine_is_own || give_up "no Docker Engine answers at $(engine_name): $(docker version 2>&1 >/dev/null </dev/null | tail -n 1)" \
    "It is not this machine's own, so bin/setup does not start it. Start it, or unset DOCKER_HOST (docker context use default)."
  begin_step
  if [ -d /run/systemd/system ]; then
    say "starting the Docker Engine (systemctl start docker)"
    need_root "starting the Docker Engine" "Or, as root: systemctl start docker"
    $as_root systemctl start docker >&2 || give_up "systemd could not start docker; its words are above." \
      "Look at: journalctl -u docker"
    engine_pid=
  else
    [ "$(id -u)" -eq 0 ] || give_up "no Docker Engine runs, there is no systemd, and starting it by hand needs root." \
      "Run bin/setup --docker as root."
    program=$(find_program dockerd) || {
      install_engine
      program=$(find_program dockerd) || give_up "there is a docker command and no dockerd on this machine."
    }
    say "starting the Docker Engine ($program; its log is $engine_log)"
    launch_engine
  fi
  wait_for_engine
  say "the Docker Engine answers ($(since_step) s)"
  did=yes
}

# A session of its own, without our locks: it goes on when bin/setup has ended.
launch_engine() {
  setsid "$program" >>"$engine_log" 2>&1 </dev/null 9>&- &
  engine_pid=$!
}

# On a busy machine dockerd may give up waiting for its own containerd, which it does for 15 s.
starts_left=2
wait_for_engine() {
  until [ "$(engine_state)" != silent ]; do
    if [ -n "$engine_pid" ] && ! kill -0 "$engine_pid" 2>/dev/null; then
      # Another one may have been quicker; it has a moment to answer.
      sleep 2
      [ "$(engine_state)" = silent ] || return 0
      if [ "$starts_left" -gt 0 ] && tail -n 5 "$engine_log" | grep -q -i -E 'time(d )?out|deadline exceeded'; then
        starts_left=$((starts_left - 1))
        say "dockerd waited in vain for a part of its own; starting it once more"
        launch_engine
        continue
      fi
      tail -n 5 "$engine_log" >&2
      give_up "dockerd ended again; the last lines of $engine_log are above." \
        "In a container it needs --privileged. Otherwise its own words say what it lacks."
    fi
    [ "$(since_step)" -lt "$engine_seconds" ] || give_up "the Docker Engine was started and does not answer after $engine_seconds s." \
      "Its log: $engine_log, or journalctl -u docker"
    sleep 0.2
  done
}
