# shellcheck shell=bash
# Which cluster a script works on; sourced after talk.sh.

# The current context where it is one of kind's; another cluster has to be named.
find_context() {
  local current
  current=$(kubectl config current-context 2>/dev/null) || current=
  case $current in
  kind-*) echo "$current" ;;
  '') die "there is no current context; make a cluster with ci/kind-up, or name one with --context" ;;
  *) die "the current context \`$current\` is none of kind's; name it with --context if you mean it" ;;
  esac
}

# The name kind knows the cluster of a context by.
kind_name() {
  case $1 in
  kind-*) echo "${1#kind-}" ;;
  *) die "\`$1\` is no cluster of kind's, so images cannot be loaded into it" ;;
  esac
}
