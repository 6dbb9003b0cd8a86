# shellcheck shell=bash
# How the scripts in ci/ talk; sourced by each of them. Talk goes to stderr, results to stdout.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# Wrong arguments: what is wrong, and where to read how it is right.
misused() {
  say "$*; \`$0 --help\` says how it is used"
  exit 2
}

# A script's help is the comment at its top.
show_help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# need PROGRAM…: all programs that are not there, at once.
need() {
  local program missing=()
  for program; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]} == 0)) || die "not in PATH: ${missing[*]}"
}
