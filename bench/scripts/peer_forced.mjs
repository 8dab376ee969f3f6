// Speed of llama.cpp on drawn tokens: as OffloadSpeed measures the engine's.
//   node peer_forced.mjs FILE THREADS PROMPT TOKENS ROUNDS
// Run it where node-llama-cpp 3.22 is installed.
import {getLlama} from "node-llama-cpp";

const [file, threads, length, tokens, rounds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: file, useMmap: true, lazyMode: process.env.LAZY === "1"});
const context = await model.createContext({contextSize: 512, batchSize: 256, threads});
const sequence = context.getSequence();
let state = 1;
const draw = () => 3 + (state = (state * 48271) % 2147483647) % 50000;
for (let round = 0; round < rounds; round++) {
  await sequence.clearHistory();
  let start = performance.now();
  const next = async (tokens) => {
    const it = sequence.evaluate(tokens, {temperature: 0, yieldEogToken: true});
    await it.next();
    await it.return();
  };
  await next(Array.from({length}, draw));
  const prompt = (performance.now() - start) / 1000;
  start = performance.now();
  for (let i = 0; i < tokens; i++) await next([draw()]);
  const seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify({prompt_tok_s: +(length / prompt).toFixed(1),
    decode_tok_s: +(tokens / seconds).toFixed(1)}));
}
process.exit(0);
