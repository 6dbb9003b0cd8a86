# shellcheck shell=bash
# Questions to ci/versions; sourced after talk.sh.

VERSIONS=$(dirname "${BASH_SOURCE[0]}")/../versions

# entries KIND: the lines of a kind, without the kind and without comments.
entries() { sed -n "s/#.*//; s/^$1[[:space:]]\\+//p" "$VERSIONS"; }

# calico_entry VERSION: the line of a minor (`3.32`), or of the minor that a release (`v3.32.1`) belongs to, with that
# release in it.
calico_entry() {
  local asked=${1#v} minor release crds kubernetes
  while read -r minor release crds kubernetes; do
    case $asked in
    "$minor") echo "$minor $release $crds $kubernetes" && return ;;
    "$minor".*) echo "$minor v$asked $crds $kubernetes" && return ;;
    esac
  done < <(entries calico)
  die "Calico $1 is not in ci/versions; there are $(entries calico | awk '{printf "%s%s", s, $1; s = ", "}')"
}

# calico_release VERSION: `v3.32.1`.
calico_release() {
  local entry
  entry=$(calico_entry "$1")
  awk '{print $2}' <<<"$entry"
}

# shared_kubernetes VERSION…: the newest Kubernetes minor that all these Calico versions are tested with.
shared_kubernetes() {
  local version entry lists=()
  for version; do
    entry=$(calico_entry "$version")
    lists+=("$(cut -d' ' -f4- <<<"$entry")")
  done
  printf '%s\n' "${lists[@]}" | tr -s ' ' '\n' | sort -V | uniq -c |
    awk -v all=$# '$1 == all {newest = $2} END {if (newest == "") exit 1; print newest}' ||
    die "no Kubernetes in ci/versions is tested with Calico $* alike"
}

# node_image MINOR: the image of a Kubernetes minor.
node_image() {
  entries kubernetes | awk -v asked="$1" '$1 == asked {print $2; found = 1} END {exit !found}' ||
    die "Kubernetes $1 is not in ci/versions; there are $(entries kubernetes | awk '{printf "%s%s", s, $1; s = ", "}')"
}
