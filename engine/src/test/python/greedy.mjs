// Greedy continuations of the models in src/test/resources/models by llama.cpp, 64 tokens each,
// into *.txt beside them. Run it where node-llama-cpp 3.22 is installed: node greedy.mjs FOLDER
import {readdirSync, writeFileSync} from "node:fs";
import {getLlama} from "node-llama-cpp";

const folder = process.argv[2];
const prompt = [1, 70, 105, 40, 200, 33, 111, 280, 90, 7, 64];
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
for (const file of readdirSync(folder).filter((f) => f.endsWith(".gguf")).sort()) {
  const model = await llama.loadModel({modelPath: `${folder}/${file}`});
  const context = await model.createContext({contextSize: 256, threads: 2});
  const made = [];
  const sequence = context.getSequence();
  for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    made.push(token);
    if (made.length === 64) break;
  }
  writeFileSync(`${folder}/${file.replace(".gguf", ".txt")}`, `${prompt.join(" ")}\n${made.join(" ")}\n`);
  console.log(file, made.slice(0, 16).join(" "));
  await context.dispose();
  await model.dispose();
}
process.exit(0);
