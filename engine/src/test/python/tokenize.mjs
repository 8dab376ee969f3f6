// What llama.cpp makes of the texts in src/test/resources/tokenizers/texts.txt with the vocabularies
// that make_tokenizers.py wrote into a folder: byte/PRE.txt and sentence.txt. Of every text one line
// of tokens as plain text, and one with special tokens. Run it where node-llama-cpp 3.22 is installed:
// node tokenize.mjs FOLDER RESOURCES
import {readFileSync, readdirSync, writeFileSync} from "node:fs";
import {getLlama} from "node-llama-cpp";

const [folder, resources] = process.argv.slice(2);
const escapes = {n: "\n", r: "\r", t: "\t", "\\": "\\"};
const texts = readFileSync(`${resources}/texts.txt`, "utf8").split("\n").slice(0, -1)
  .map((line) => line.replace(/\\(.)/g, (_, c) => escapes[c]));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
for (const file of readdirSync(folder).filter((f) => f.endsWith(".gguf")).sort()) {
  const model = await llama.loadModel({modelPath: `${folder}/${file}`, vocabOnly: true});
  const name = file.replace(".gguf", "");
  const lines = texts.flatMap((text) => [
    model.tokenize(text, false).join(" "), model.tokenize(text, true).join(" ")]);
  writeFileSync(`${resources}/${name === "sentence" ? "" : "byte/"}${name}.txt`, lines.join("\n") + "\n");
  await model.dispose();
}
process.exit(0);
