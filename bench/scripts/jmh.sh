#!/usr/bin/env bash
# Builds and runs JMH benchmarks. Nothing else may run on the machine.
# usage: bench/scripts/jmh.sh RoutingCost [more JMH options, for example -p router=hash]
set -euo pipefail
cd "$(dirname "$0")/../.."
mvn -q -B -ntp -pl bench -am -DskipTests -Dspotless.check.skip=true package
args=$(sed -n 's:.*<moe.jvm.args>\(.*\)</moe.jvm.args>.*:\1:p' pom.xml)
java=${MOE_JAVA:+$MOE_JAVA/bin/java}
exec "${java:-java}" -cp "bench/target/classes:$(cat bench/target/classpath)" org.openjdk.jmh.Main \
  -jvmArgs "$args" "$@"
