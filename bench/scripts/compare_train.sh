#!/usr/bin/env bash
# Training speed against transformers, in pairs: ours, theirs, ours, theirs, ... and the ratio of the
# medians. Nothing else may run on the machine.
# usage: PYTHON=path/to/python bench/scripts/compare_train.sh [PAIRS=3] [STEPS=30] [THREADS=2]
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-3} steps=${2:-30} threads=${3:-2}
python=${PYTHON:-python3}
./moe --version > /dev/null
for dtype in fp32 bf16; do
  ours=() theirs=()
  for ((i = 0; i < pairs; i++)); do
    a=$(./moe bench train --dtype $dtype --steps "$steps" --threads "$threads" --json)
    b=$("$python" bench/scripts/peer_train.py --dtype $dtype --steps "$steps" --threads "$threads" 2> /dev/null)
    echo "$dtype ours $a"
    echo "$dtype peer $b"
    ours+=("$a") theirs+=("$b")
  done
  "$python" - "$dtype" "${ours[@]}" -- "${theirs[@]}" << 'PY'
import json, statistics, sys
dtype, rest = sys.argv[1], sys.argv[2:]
cut = rest.index("--")
ours = [json.loads(x) for x in rest[:cut]]
peer = [json.loads(x) for x in rest[cut + 1:]]
med = lambda xs, k: statistics.median(x[k] for x in xs)
print("%s: ours %.0f tokens/s, peer %.0f, ratio %.2f; peak memory ours %.0f MB, peer %.0f MB" % (
    dtype, med(ours, "tokens_per_s"), med(peer, "tokens_per_s"),
    med(ours, "tokens_per_s") / med(peer, "tokens_per_s"),
    med(ours, "peak_memory_bytes") / 2**20, med(peer, "peak_memory_bytes") / 2**20))
PY
done
