# The containers' side of bin/setup: a Docker Engine that answers, and our images in it. The engine
# is the one that the docker command speaks to (DOCKER_HOST, or its context); only the machine's own
# is ever installed or started.

images_folder=$checkout/images
engine_log=/var/log/dockerd.log
engine_seconds=60
work_parent=${TMPDIR:-/tmp}

. "$parts/docker-engine.sh"
. "$parts/docker-base.sh"
. "$parts/docker-sources.sh"
. "$parts/docker-images.sh"

step_from=0
begin_step() {
  step_from=$(date +%s)
}

since_step() {
  echo $(($(date +%s) - step_from))
}

# engine WORD ...: the docker command; never a question, never colour.
engine() {
  docker "$@" </dev/null
}

# engine_says PROGRAM WORD ...: runs it with its output kept in $work/said. Not in the foreground,
# where this shell would hear of a signal only at the end of it.
job=
engine_says() {
  "$@" >"$work/said" 2>&1 </dev/null 9>&- &
  job=$!
  wait "$job"
  job_status=$?
  job=
  return "$job_status"
}

# Without the colours of a build, and without whole programs that were one line of a Dockerfile.
show_said() {
  sed 's/\x1b\[[0-9;]*m//g' "$work/said" | tail -n 12 | cut -c 1-200 >&2
}

# need_space FOLDER GIGABYTES FOR: refuses before anything is begun rather than in the middle.
need_space() {
  free=$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print int($4 / 1048576) }')
  [ -z "$free" ] || [ "$free" -ge "$2" ] || give_up "$3 needs $2 GB in $1, and $free GB are free there." \
    "Make room (docker system df says what images and volumes take), then run bin/setup --docker again."
}

# What is missing on the containers' side, a line each; nothing when all is there. It changes nothing.
docker_problems() {
  state=$(engine_state)
  case $state in
    answers) images_missing | sed 's/^/the image /' ;;
    *) echo "a Docker Engine that answers ($(engine_words "$state"))" ;;
  esac
}

# One phrase that names what is here.
docker_found() {
  printf 'Docker Engine %s, images %s' "$(engine version --format '{{.Server.Version}}')" "$version_tag"
}

# Brings the engine and the images; sets did=yes where something was done.
bring_docker() {
  work=$(mktemp -d "$work_parent/switchyard-setup.XXXXXX") || give_up "could not make a folder in $work_parent."
  trap put_away EXIT
  begin_step
  bring_engine
  bring_images
  put_away
  trap - EXIT
}

# Ends what is under way; debootstrap that was cut off may have left its mounts.
put_away() {
  if [ -n "$job" ]; then
    kill "$job" 2>/dev/null
    wait "$job" 2>/dev/null
  fi
  for folder in proc sys; do umount "$work/root/$folder" 2>/dev/null; done
  rm -rf --one-file-system "$work"
}
