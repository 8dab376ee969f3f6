// Speed of llama.cpp on a GGUF file, as the engine's Speed measures its own:
//   node peer_llama.mjs FILE THREADS PROMPT TOKENS [ROUNDS]
// Run it where node-llama-cpp 3.22 is installed.
import {getLlama} from "node-llama-cpp";

const [file, threads, length, tokens, rounds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({contextSize: 1024, batchSize: 512, threads});
const sequence = context.getSequence();
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
  console.log(JSON.stringify({prompt_tok_s: +(length / (first - start) * 1000).toFixed(1),
    decode_tok_s: +(tokens / (end - first) * 1000).toFixed(1)}));
}
process.exit(0);
