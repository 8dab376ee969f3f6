// Speed of llama.cpp on a GGUF file, as moe bench decode measures the engine's:
//   node peer_llama.mjs FILE THREADS PROMPT TOKENS [ROUNDS]
// A line of JSON for each round, the first of which warms up; then one with the time from the start
// of the process to the first token and the most memory there ever was.
// Run it where node-llama-cpp 3.22 is installed.
import {getLlama} from "node-llama-cpp";

const [file, threads, length, tokens, rounds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({contextSize: Math.max(1024, length + tokens + 8), batchSize: 512, threads});
const sequence = context.getSequence();
let begun = 0;
for (let round = 0; round < (rounds || 3); round++) {
  const prompt = Array.from({length}, (_, i) => 3 + ((i * 7919 + round * 104729) % 50000));
  await sequence.clearHistory();
  let start = performance.now();
  let made = 0, first = 0;
  for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    if (made === 0) first = performance.now();
    if (++made === tokens + 1) break;
  }
  const end = performance.now();
  begun ||= first;
  console.log(JSON.stringify({prompt_tok_s: +(length / (first - start) * 1000).toFixed(1),
    decode_tok_s: +(tokens / (end - first) * 1000).toFixed(1)}));
}
console.log(JSON.stringify({first_token_s: +(begun / 1000).toFixed(2),
  peak_memory_bytes: process.resourceUsage().maxRSS * 1024}));
process.exit(0);
