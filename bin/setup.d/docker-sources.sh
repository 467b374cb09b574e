# What goes into an image: a staged folder for each, so that the build sees nothing else, and a hash
# of it, so that an image is built again when, and only when, its sources differ.

# Every folder and file that the switchyard image takes from the checkout, where they are there. Not
# the lab, the tests, bench and bin/setup: a container has no use for them.
checkout_parts="LICENSE package.json bin config kit router registry client services sidecars templates"
not_in_image="^bin/(setup|setup[.]d/.*|test|testing/.*|demo|lab)$|^bin/commands/(demo|lab|test)([.]ts|/.*)$"

# The sources, one path a line: what git knows and what it does not yet know, but nothing ignored
# (environment files above all). Without git, all but what .gitignore names.
checkout_sources() {
  (
    cd "$checkout" || exit 1
    # shellcheck disable=SC2086 # a list of words
    if [ -e .git ] && git -c "safe.directory=$checkout" ls-files -co --exclude-standard -- $checkout_parts 2>/dev/null; then
      exit 0
    fi
    find $checkout_parts -type f ! -name '*.log' ! -path '*/node_modules/*' \
      \( ! -path 'config/*.yml' -o -name '*.example.yml' \) 2>/dev/null
  ) | grep -vE "$not_in_image" | while IFS= read -r path; do
    # Deleted, and git was not told yet.
    [ ! -f "$checkout/$path" ] || printf '%s\n' "$path"
  done | LC_ALL=C sort
}

# image_sources FOLDER: the files of images/FOLDER.
image_sources() {
  (cd "$checkout" && find "images/$1" -type f | LC_ALL=C sort)
}

# hash_of_paths: reads paths below the checkout, one a line; contents, names and what is executable.
hash_of_paths() {
  (
    cd "$checkout" || exit 1
    while IFS= read -r path; do
      [ ! -x "$path" ] || printf 'x %s\n' "$path"
      printf '%s\0' "$path" >&3
    done 3>"$1"
    xargs -0 -r sha256sum <"$1"
  ) | sha256sum | cut -c 1-32
}

# source_hash IMAGE BASE-ID: what the label org.switchyard.source of an image made now would say.
source_hash() {
  list=$(mktemp)
  {
    echo "$2"
    case $1 in
      runtime)
        image_sources switchyard/runtime | hash_of_paths "$list"
        cat "$checkout/package-lock.json" "$parts/node/package-lock.json" | sha256sum
        ;;
      switchyard)
        { image_sources switchyard | grep -v '/runtime/'; checkout_sources; } | hash_of_paths "$list"
        ;;
      *) image_sources "$1" | hash_of_paths "$list" ;;
    esac
  } | sha256sum | cut -c 1-32
  rm -f "$list"
}

# stage IMAGE FOLDER: puts the build context of an image into a folder. Modes are made the same
# whatever the checkout's umask was, since the containers' users are not its owner.
stage() {
  mkdir -p "$2"
  case $1 in
    runtime)
      cp -R "$images_folder/switchyard/runtime/." "$2/"
      stage_javascript "$2"
      ;;
    switchyard)
      find "$images_folder/switchyard" -maxdepth 1 -type f -exec cp -t "$2" {} +
      mkdir "$2/checkout"
      checkout_sources | (cd "$checkout" && xargs -d '\n' cp -p --parents -t "$2/checkout")
      ;;
    *) cp -R "$images_folder/$1/." "$2/" ;;
  esac
  chmod -R u=rwX,go=rX "$2"
}

# Node itself and the npm packages that the run time needs, from npm: the build has no network but apt.
stage_javascript() {
  require_npm
  mkdir -p "$work/node" "$1/switchyard"
  if [ -x "$brought_node" ]; then
    node_file=$brought_node
  else
    cp "$parts/node/package.json" "$parts/node/package-lock.json" "$work/node/"
    npm_ci "$work/node" "Node.js $wanted_node"
    node_file=$work/node/node_modules/$node_package/bin/node
    [ -x "$node_file" ] || npm_left_out "$node_package"
  fi
  cp "$node_file" "$1/node"
  cp "$checkout/package.json" "$checkout/package-lock.json" "$1/switchyard/"
  npm_ci "$1/switchyard" "the dependencies" --omit=dev
  # npm's own note names the registry of this machine.
  rm -f "$1/switchyard/node_modules/.package-lock.json" "$1/switchyard/package-lock.json" "$1/switchyard/package.json"
}
