# Our images: built where they are missing or where their sources differ from what they were made of.

version_tag=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$checkout/package.json")
# In this order: switchyard stands on runtime.
image_names="postgres pgbouncer haproxy runtime switchyard"
build_seconds=1800

image_id() {
  engine image inspect --format '{{.Id}}' "$1" 2>/dev/null
}

# The hash of the sources of an image that is there, or nothing.
image_hash() {
  engine image inspect --format '{{index .Config.Labels "org.switchyard.source"}}' "switchyard/$1:$version_tag" 2>/dev/null
}

# The image that another one stands on, by id: another base, another image.
base_id_of() {
  case $1 in
    switchyard) image_id "switchyard/runtime:$version_tag" ;;
    *) image_id "$base_name" ;;
  esac
}

image_is_current() {
  [ "$(image_hash "$1")" = "$(source_hash "$1" "$(base_id_of "$1")")" ]
}

images_missing() {
  have_base || echo "$base_name"
  [ "$(image_id "switchyard/base:$version_tag")" = "$(image_id "$base_name")" ] || echo "switchyard/base:$version_tag"
  for name in $image_names; do
    image_is_current "$name" || echo "switchyard/$name:$version_tag"
  done
}

bring_images() {
  [ -n "$(images_missing)" ] || return 0
  did=yes
  check_architecture
  check_engine_space
  begin_step
  bring_base
  base_architecture=$(engine image inspect --format '{{.Architecture}}' "$base_name")
  [ "$base_architecture" = "$engine_architecture" ] || give_up \
    "$base_name in this engine is for $base_architecture, and the engine is $engine_architecture." \
    "Remove it (docker rmi $base_name) and run bin/setup --docker again."
  engine tag "$base_name" "switchyard/base:$version_tag" || give_up "could not tag $base_name."
  for name in $image_names; do
    image_is_current "$name" || build_image "$name"
  done
  remove_replaced
}

# The switchyard image takes Node from this machine's npm, so both must be of one kind.
check_architecture() {
  engine_architecture=$(engine version --format '{{.Server.Arch}}')
  case $(uname -m) in x86_64) own=amd64 ;; aarch64) own=arm64 ;; *) own=$(uname -m) ;; esac
  case $engine_architecture in
    amd64 | arm64) ;;
    *) give_up "the engine is $engine_architecture; there are images for amd64 and arm64 alone." ;;
  esac
  [ "$engine_architecture" = "$own" ] || give_up \
    "the engine at $(engine_name) is $engine_architecture and this machine is $own: images are built on a machine of the engine's kind." \
    "Run bin/setup --docker there, or carry them over: docker save switchyard/postgres:$version_tag | docker load"
}

# Only of an engine on this machine is the disk in sight.
check_engine_space() {
  case $(engine_name) in
    unix://*) need_space "$(engine info --format '{{.DockerRootDir}}')" 2 "building the images" ;;
  esac
  need_space "$work_parent" 1 "staging what goes into the images"
}

# What apt-get says in a build when the network fails for a moment.
build_hiccup='Failed to fetch|Unable to fetch|Temporary failure resolving|Could not resolve|Unable to connect|Connection (failed|timed out)|Hash Sum mismatch'

build_image() {
  reference=switchyard/$1:$version_tag
  old=$(image_id "$reference")
  begin_step
  say "building $reference"
  context=$work/context-$1
  stage "$1" "$context"
  # A proxy of this machine is handed to the build alone: Docker keeps these names out of the image.
  for name_of_proxy in http_proxy https_proxy no_proxy; do
    eval "value=\${$name_of_proxy:-}"
    [ -z "$value" ] || set -- "$@" --build-arg "$name_of_proxy"
  done
  image=$1
  shift
  builds_left=2
  # With buildx too the result goes into this engine; without, its words on being old are no news.
  until engine_says env BUILDX_BUILDER=default timeout -k 10 "$build_seconds" docker build --rm --force-rm \
    --label "org.switchyard.source=$(source_hash "$image" "$(base_id_of "$image")")" \
    --build-arg "VERSION=$version_tag" --tag "$reference" "$@" "$context"; do
    if [ "$builds_left" -eq 0 ] || ! grep -q -E "$build_hiccup" "$work/said"; then fail_build; fi
    builds_left=$((builds_left - 1))
    say "a package could not be fetched; building $reference again in 10 s"
    sleep 10
  done
  rm -rf "$context"
  remove_old "$old" "$reference"
  say "built $reference, $(image_size "$reference") ($(since_step) s)"
}

image_size() {
  engine image inspect --format '{{.Size}}' "$1" | awk '{ printf "%d MB", $1 / 1000000 }'
}

fail_build() {
  show_said
  if grep -q 'no space left on device' "$work/said"; then
    give_up "building $reference failed: no space left on the engine's disk." \
      "Make room (docker system df says what images and volumes take), then run bin/setup --docker again."
  fi
  if grep -q -E "$build_hiccup|Unable to locate package" "$work/said"; then
    give_up "building $reference failed: the packages of Debian could not be had from inside the build; its last lines are above." \
      "Containers need a way out and a name server: try docker run --rm $base_name apt-get update"
  fi
  give_up "building $reference failed, or took more than $build_seconds s; its last lines are above. Nothing of it was kept."
}

# remove_old ID REFERENCE: the image that had the name before, ours, and of no use but to containers
# that still stand on it. For them it stays, under a name by which the next build takes it away.
# Where only labels changed, the new one stands on the old one, and nothing is to be removed.
remove_old() {
  [ -n "$1" ] && [ "$1" != "$(image_id "$2")" ] || return 0
  engine_says docker rmi "$1" && return 0
  ! grep -q 'container' "$work/said" || engine tag "$1" "${2%:*}:replaced-$(printf '%s' "${1#*:}" | cut -c 1-12)"
}

remove_replaced() {
  for reference in $(engine images --filter 'reference=switchyard/*:replaced-*' --format '{{.Repository}}:{{.Tag}}'); do
    engine_says docker rmi "$reference" || say "$reference stays while containers stand on it"
  done
}
