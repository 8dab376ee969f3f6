#!/usr/bin/env bash
# Trains a small model on the embedded corpus with every causal router of the registry, by its name
# alone, and prints the training loss at the start and at the end.
# usage: bench/scripts/train_every_router.sh [STEPS=50] [OUT=a temporary folder]
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=${1:-50} out=${2:-$(mktemp -d)}
./moe list --json | python3 -c '
import json, sys
for system in json.load(sys.stdin):
    for r in system["routers"]:
        print(r["name"], "causal" if r["causal"] else "looks-around")
' | while read -r router causal; do
  # Nested experts halve the width again and again.
  experts=$([ "$router" = mone ] && echo 4 || echo 16)
  leaks=$([ "$causal" = causal ] && echo false || echo true)
  if ./moe train --set run.dir="$out" --set run.name="$router" --set moe.router="$router" --set moe.experts="$experts" \
      --set moe.allow-leaks="$leaks" --set train.steps="$steps" --set model.hidden=64 \
      --set model.layers=2 --set moe.expert-ffn=64 --set data.vocab-size=1024 --set train.batch-size=8 \
      --set data.sequence-length=64 --set train.validate-every=0 --set train.log-every=1 \
      --set train.sample-every=0 < /dev/null > "$out/$router.log" 2>&1; then
    python3 - "$router" "$causal" "$out/$router/metrics.jsonl" << 'PY'
import json, sys
losses = [json.loads(line) for line in open(sys.argv[3])]
losses = [x["loss"] for x in losses if "loss" in x]
tail = losses[-5:]
print("%-22s %-12s loss %.3f -> %.3f" % (sys.argv[1], sys.argv[2], losses[0], sum(tail) / len(tail)))
PY
  else
    echo "$router FAILED: $(tail -1 "$out/$router.log")"
  fi
done
