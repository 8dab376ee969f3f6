#!/usr/bin/env bash
# The balanced assignment against scipy's linear_sum_assignment on the same problem, each expert
# repeated T / E times, in pairs on one core: ours, theirs, ours, theirs, ... and the ratio of the
# medians. Times are processor seconds of the one thread that solves, which a busy machine changes
# little; ours are the first call's in a new process and the median of nine.
# usage: PYTHON=path/to/python bench/scripts/compare_assignment.sh [PAIRS=3] [T=8192] [E=64] [KIND...]
# kinds: normal, trained, ties; skewed, which takes scipy many minutes
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-3} tokens=${2:-8192} experts=${3:-64}
shift $(($# < 3 ? $# : 3))
kinds=${*:-normal trained ties}
python=${PYTHON:-python3}
java=${MOE_JAVA:+$MOE_JAVA/bin/java}
if [ ! -f bench/target/classpath ]; then
  mvn -q -B -ntp -pl bench -am -DskipTests -Dspotless.check.skip=true package
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
scores=$(mktemp)
trap 'rm -f "$scores"' EXIT
for kind in $kinds; do
  "$python" bench/scripts/peer_assignment.py make "$kind" "$scores" "$tokens" "$experts"
  ours=() theirs=()
  for ((i = 0; i < pairs; i++)); do
    a=$(taskset -c 0 "${java:-java}" -XX:+UseSerialGC \
      -cp "bench/target/classes:$(cat bench/target/classpath)" \
      org.moe4j.bench.AssignmentTime "$scores" "$tokens" "$experts" 9)
    b=$(taskset -c 0 "$python" bench/scripts/peer_assignment.py solve "$scores" "$tokens" "$experts")
    echo "$kind ours $a"
    echo "$kind peer $b"
    ours+=("$a") theirs+=("$b")
  done
  "$python" - "$kind" "${ours[@]}" -- "${theirs[@]}" << 'PY'
import json, statistics, sys
kind, rest = sys.argv[1], sys.argv[2:]
cut = rest.index("--")
ours = [json.loads(x) for x in rest[:cut]]
peer = [json.loads(x) for x in rest[cut + 1:]]
for a, b in zip(ours, peer):
    assert abs(a["sum"] - b["sum"]) <= 1e-9 * max(1, abs(b["sum"])), "the sums differ"
med = lambda xs, k: statistics.median(x[k] for x in xs)
print("%s: ours %.1f ms (first call %.1f ms), peer %.1f ms, ratio %.0f (first call %.0f), same sum" % (
    kind, 1e3 * med(ours, "median"), 1e3 * med(ours, "first"), 1e3 * med(peer, "seconds"),
    med(peer, "seconds") / med(ours, "median"), med(peer, "seconds") / med(ours, "first")))
PY
done
