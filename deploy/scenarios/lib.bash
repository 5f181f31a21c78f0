# What the checks of the scenarios share. Source it with the scenario's number and name set, such as scenario=1-ping.
#
# KUBECTL  the command to use, words separated by spaces (kubectl)
# IMAGE    the image to use instead of the manifests'
# PATIENCE seconds that a step may take on a slow cluster (120)

read -ra kubectl <<<"${KUBECTL:-kubectl}"
patience=${PATIENCE:-120}
namespace=folkmoot-$scenario
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/$scenario" && pwd)
manifest_image=localhost/folkmoot/moot:latest
keep=

# begin [--keep] reads the check's arguments, and makes sure that its end is tidy.
begin() {
  case "$*" in
    '') ;;
    --keep) keep=yes ;;
    *) echo "usage: ${0##*/} [--keep]" >&2; exit 2 ;;
  esac
  in_cluster get namespace default >/dev/null || fail "no cluster answers ${kubectl[*]}"
  # Pods of an earlier check may still be on their way out.
  if [[ $(in_cluster get namespace "$namespace" --ignore-not-found -o 'jsonpath={.status.phase}') == Terminating ]]; then
    in_cluster wait --for=delete "namespace/$namespace" --timeout="${patience}s"
  fi
  trap finish EXIT
}

# finish tells what went wrong, and deletes the scenario unless it is to be kept.
finish() {
  local code=$?
  trap - EXIT
  if ((code != 0)); then
    echo "== what the cluster says" >&2
    k get pods -o wide >&2 || true
    k get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
    for pod in $(k get pods -o name 2>/dev/null); do
      echo "== log of $pod" >&2
      k logs "$pod" --all-containers --prefix --tail=15 >&2 || true
    done
  fi
  if [[ -n $keep ]]; then
    echo "kept; delete it with: ${kubectl[*]} delete namespace $namespace"
  else
    in_cluster delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null || true
    in_cluster wait --for=delete "namespace/$namespace" --timeout="${patience}s" >/dev/null 2>&1 || echo "namespace $namespace is still being deleted" >&2
  fi
  ((code != 0)) || echo "passed: $scenario"
  exit "$code"
}

in_cluster() { "${kubectl[@]}" "$@"; }

# k is kubectl in the scenario's namespace.
k() { in_cluster --namespace "$namespace" "$@"; }

step() { echo "== $*"; }
note() { echo "   $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# apply FILE applies one of the scenario's manifests, with IMAGE if that is set.
apply() {
  sed "s#$manifest_image#${IMAGE:-$manifest_image}#" "$here/$1" | in_cluster apply -f - >/dev/null || fail "the cluster refused $1"
}

# ready POD... waits until the pods are ready.
ready() {
  k wait --for=condition=Ready "${@/#/pod/}" --timeout="${patience}s" >/dev/null || fail "not ready within $patience s: $*"
}

# needs_two_nodes refuses a cluster on which pods have one place to go.
needs_two_nodes() {
  local nodes
  nodes=$(in_cluster get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.unschedulable} {.spec.taints[*].effect}{"\n"}{end}' |
    grep -cvwE 'true|NoSchedule|NoExecute' || true)
  ((nodes >= 2)) || fail "$nodes node takes pods, and this scenario needs two: see deploy/scenarios/README.md"
}

node_of() { k get pod "$1" -o 'jsonpath={.spec.nodeName}'; }
ip_of() { k get pod "$1" -o 'jsonpath={.status.podIP}'; }

# moot POD[/CONTAINER] WORD... runs moot in a container.
moot() {
  local where=$1
  shift
  case $where in
    */*) k exec "${where%%/*}" -c "${where#*/}" -- moot "$@" ;;
    *) k exec "$where" -- moot "$@" ;;
  esac
}

# shell POD LINE... types lines into moot shell.
shell() {
  local pod=$1
  shift
  printf '%s\n' "$@" | k exec -i "$pod" -- moot shell
}

id_of() { moot "$1" status | awk '$1 == "peer" && $2 == "id" { print $3 }'; }

# writes PATTERN COMMAND... says whether a command succeeds and writes a line of that pattern. All that it writes is read: under pipefail, a
# grep that stops at the line would end the command by a signal, and so deny it.
writes() {
  local pattern=$1 output
  shift
  output=$("$@") || return
  grep -q "$pattern" <<<"$output"
}

# sees POD[/CONTAINER] ID says whether a node holds the peer of that id for alive.
sees() { writes "^$2 *alive " moot "$1" peers; }

# misses POD[/CONTAINER] ID says whether a node does not hold the peer of that id for alive.
misses() {
  local peers
  peers=$(moot "$1" peers) || return
  ! grep -q "^$2 *alive " <<<"$peers"
}

# knows POD[/CONTAINER] ID says whether a node knows the peer of that id, alive or not. That it can't be asked is no answer.
knows() {
  local peers
  peers=$(moot "$1" peers) || fail "$1 does not say which peers it knows"
  grep -q "^$2 " <<<"$peers"
}

# within SECONDS WHAT COMMAND... repeats a command until it succeeds.
within() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what: not within the time it may take"
    sleep 1
  done
}

# exits CODE WHAT COMMAND... wants a command to fail with that exit code; says is what it wrote.
exits() {
  local want=$1 what=$2 code=0
  shift 2
  says=$("$@" 2>&1) || code=$?
  ((code == want)) || fail "$what: exit code $code, want $want: $says"
}
