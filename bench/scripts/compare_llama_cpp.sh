#!/usr/bin/env bash
# The engine and llama.cpp on the same GGUF file, by turns: prompt and decode speed, time from the
# start of the process to the first token (page cache warm), and the most memory resident. Each run
# is a process of its own: one round warms up, the median of ROUNDS counts. Nothing else may run.
#   LLAMA  the folder in which node-llama-cpp 3.22 is installed
# usage: LLAMA=folder bench/scripts/compare_llama_cpp.sh FILE [PAIRS=2] [THREADS=2] [PROMPT=256] [TOKENS=64] [ROUNDS=3]
set -euo pipefail
file=$(realpath "${1:?usage: LLAMA=folder $0 FILE [PAIRS] [THREADS] [PROMPT] [TOKENS] [ROUNDS]}")
cd "$(dirname "$0")/../.."
pairs=${2:-2} threads=${3:-2} prompt=${4:-256} tokens=${5:-64} rounds=${6:-3}
: "${LLAMA:?set LLAMA to the folder in which node-llama-cpp is installed}"
peer=$LLAMA/.peer_llama.$$.mjs
lines=$(mktemp)
trap 'rm -f "$peer" "$lines"' EXIT
cp bench/scripts/peer_llama.mjs "$peer"
./moe --version > /dev/null
cat "$file" > /dev/null

# field NAME: its values in the JSON on standard input, one a line.
field() { grep -o "\"$1\" *: *[0-9.]*" | grep -o '[0-9.]*$'; }
median() { sort -n | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }

printf '%-10s %10s %10s %14s %12s\n' '' prompt/s decode/s first-token-s peak-MB | tee "$lines"
show() { # NAME JSON-OF-ROUNDS JSON-OF-PROCESS
  printf '%-10s %10.1f %10.1f %14.2f %12.0f\n' "$1" "$(field prompt_tok_s <<< "$2" | median)" \
    "$(field decode_tok_s <<< "$2" | median)" "$(field first_token_s <<< "$3")" \
    "$(field peak_memory_bytes <<< "$3" | awk '{print $1 / 1e6}')" | tee -a "$lines"
}
for ((i = 0; i < pairs; i++)); do
  ours=$(./moe bench decode "$file" --threads "$threads" --prompt "$prompt" --tokens "$tokens" \
    --rounds "$rounds" --json 2> /dev/null)
  show moe4j "$ours" "$ours"
  theirs=$(node "$peer" "$file" "$threads" "$prompt" "$tokens" $((rounds + 1)) 2> /dev/null)
  show llama.cpp "$(grep prompt_tok_s <<< "$theirs" | tail -n +2)" "$(tail -n 1 <<< "$theirs")"
done
for column in 2 3 4 5; do
  for name in moe4j llama.cpp; do
    awk -v n=$name -v c=$column '$1 == n {print $c}' "$lines" | median
  done | paste -sd ' ' | awk '{printf "%.2f ", $1 / $2}'
done | awk '{printf "ratio: prompt %s, decode %s, first token %s, memory %s; the file has '"$(($(stat -Lc %s "$file") / 1000000))"' MB\n", $1, $2, $3, $4}'
