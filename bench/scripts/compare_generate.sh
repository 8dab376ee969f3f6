#!/usr/bin/env bash
# Generation on a CPU against transformers, by turns: an OLMoE-shaped model of random weights, the
# real widths, 2 threads. Nothing else may run on the machine; F32 needs 9 GB of memory.
# usage: PYTHON=path/to/python bench/scripts/compare_generate.sh [PAIRS=2] [LAYERS=4] [PROMPT=64] [TOKENS=32]
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-2} layers=${2:-4} prompt=${3:-64} tokens=${4:-32}
python=${PYTHON:-python3} java=${MOE_JAVA:+$MOE_JAVA/bin/}java
mvn -q -B -ntp -o -pl bench -am -DskipTests package > /dev/null
options=$(sed -n 's:.*<moe\.\(jvm\|vector\)\.args>\(.*\)</moe\..*:\2:p' pom.xml | tr '\n' ' ')
classes=bench/target/classes:$(cat bench/target/classpath)
for dtype in bf16 fp32; do
  for ((i = 0; i < pairs; i++)); do
    $java $options -cp "$classes" org.moe4j.bench.GenerationSpeed "$layers" cpu ${dtype/fp32/f32} \
      "$prompt" "$tokens" 3 | sed "s/^/$dtype ours /"
    "$python" bench/scripts/peer_generate.py "$layers" $dtype "$prompt" "$tokens" 3 2> /dev/null \
      | sed "s/^/$dtype peer /"
  done
done
