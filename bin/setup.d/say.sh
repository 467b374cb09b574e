# How bin/setup speaks: one line for each thing, on standard error.

say() {
  printf 'setup: %s\n' "$*" >&2
}

# give_up WHAT [HOW ...]: says what cannot be had and, line by line, how to get it; exits 69.
give_up() {
  say "$1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 69
}
