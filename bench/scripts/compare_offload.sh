#!/usr/bin/env bash
# Decoding with half of the file's size as memory, by turns with llama.cpp (node-llama-cpp, which
# maps the file). Each process runs in a memory control group of its own (cgroup v1 or v2, needs
# root), whose limit counts its own memory and the file's pages that it reads; the file is dropped
# from the system's cache before. Tokens are drawn, as a model of random weights repeats itself.
# A Q4_0 file is no match: llama.cpp repacks it into memory of its own, as large as the file, and
# is killed at the limit; Q8_0 stays mapped on x86.
# usage: PEER=folder/with/node-llama-cpp PYTHON=python3 bench/scripts/compare_offload.sh \
#          [TYPE=q8_0] [LAYERS=4] [PAIRS=2] [PROMPT=32] [TOKENS=32]
set -euo pipefail
cd "$(dirname "$0")/../.."
type=${1:-q8_0} layers=${2:-4} pairs=${3:-2} prompt=${4:-32} tokens=${5:-32}
file=${FILE:-${TMPDIR:-/tmp}/olmoe$layers-$type.gguf} java=${MOE_JAVA:+$MOE_JAVA/bin/}java
[ -f "$file" ] || "${PYTHON:-python3}" bench/scripts/make_random_gguf.py olmoe "$type" "$file" "$layers"
[ -d engine/target/test-classes ] || mvn -q -B -ntp -o -pl engine -am test-compile > /dev/null
limit=$(($(stat -c %s "$file") / 2))
if [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/moe4j-offload limits=memory.limit_in_bytes
else
  group=/sys/fs/cgroup/moe4j-offload limits=memory.max
fi
mkdir -p "$group"
trap 'rmdir "$group"' EXIT
echo "$limit" > "$group/$limits"
# limited COMMAND...: in the group, with nothing of the file in the system's cache
limited() {
  dd if="$file" iflag=nocache count=0 status=none
  (echo "$BASHPID" > "$group/cgroup.procs" && exec "$@") || echo "{\"failed\":$?}"
}
options=$(sed -n 's:.*<moe\.\(jvm\|vector\)\.args>\(.*\)</moe\..*:\2:p' pom.xml | tr '\n' ' ')
cp bench/scripts/peer_forced.mjs "$PEER/"
echo "{\"file\":\"$file\",\"memory\":$limit}"
for ((i = 0; i < pairs; i++)); do
  # shellcheck disable=SC2086 # options are words
  limited "$java" $options -cp engine/target/classes:engine/target/test-classes \
    org.moe4j.engine.offload.OffloadSpeed "$file" 2 "$limit" "$prompt" "$tokens" 3 2> /dev/null \
    | sed 's/^/ours /'
  (cd "$PEER" && limited node peer_forced.mjs "$file" 2 "$prompt" "$tokens" 2) | sed 's/^/peer /'
done
