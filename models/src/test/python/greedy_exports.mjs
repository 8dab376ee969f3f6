// Greedy continuations by llama.cpp of the files that the class Exports in src/test/java writes:
// two prompts each, 12 tokens, one line "checkpoint type|tokens|tokens" into the file RECORD.
// Run it where node-llama-cpp 3.22 is installed: node greedy_exports.mjs FOLDER RECORD
import {readdirSync, readFileSync, writeFileSync} from "node:fs";
import {getLlama} from "node-llama-cpp";

const [folder, record] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const lines = [];
for (const file of readdirSync(folder).filter((f) => f.endsWith(".gguf")).sort()) {
  const model = await llama.loadModel({modelPath: `${folder}/${file}`});
  const all = [];
  for (const line of readFileSync(`${folder}/${file}.prompts`, "utf8").trim().split("\n")) {
    const context = await model.createContext({contextSize: 128, threads: 1});
    const made = [];
    const prompt = line.split(" ").map(Number);
    const how = {temperature: 0, yieldEogToken: true};
    for await (const token of context.getSequence().evaluate(prompt, how)) {
      made.push(token);
      if (made.length === 12) break;
    }
    all.push(made.join(" "));
    await context.dispose();
  }
  lines.push([file.replace(/\.([a-z0-9_]+)\.gguf$/, " $1"), ...all].join("|"));
  console.log(lines.at(-1));
  await model.dispose();
}
writeFileSync(record, lines.join("\n") + "\n");
process.exit(0);
