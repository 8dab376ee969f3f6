#!/usr/bin/env bash
# How a PEER layer (S52) grows from 65,536 to 1,048,576 experts: time in pairs, both kinds of table
# gradients, and memory with one size alone. Nothing else may run on the machine.
# usage: bench/scripts/peer_scaling.sh [TOKENS=1024] [WIDTH=256] [STEPS=15]
set -euo pipefail
cd "$(dirname "$0")/../.."
tokens=${1:-1024} width=${2:-256} steps=${3:-15}
mvn -q -B -ntp -pl bench -am -DskipTests -Dspotless.check.skip=true package
args=$(sed -n 's:.*<moe.jvm.args>\(.*\)</moe.jvm.args>.*:\1:p' pom.xml)
java=${MOE_JAVA:+$MOE_JAVA/bin/java}
run() {
  # shellcheck disable=SC2086 # several arguments
  "${java:-java}" $args -cp "bench/target/classes:$(cat bench/target/classpath)" \
    org.moe4j.bench.PeerScaling "$@"
}
run "$tokens" "$width" "$steps" rows 65536 1048576
for kind in rows+step dense+step; do
  run "$tokens" "$width" "$steps" $kind 65536
  run "$tokens" "$width" "$steps" $kind 1048576
done
for experts in 65536 1048576; do
  run "$tokens" "$width" 3 rows $experts
done
