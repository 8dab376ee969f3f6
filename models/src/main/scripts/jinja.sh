#!/usr/bin/env bash
# Makes resources/org/moe4j/models/chat/jinja.js: the published build of @huggingface/jinja with its
# classes, block scopes and patterns rewritten as what Rhino reads. Nothing else is changed. Needs npm.
#
#   models/src/main/scripts/jinja.sh [VERSION]
set -euo pipefail

version=${1:-0.5.11}
target=$(cd "$(dirname "$0")/../resources/org/moe4j/models/chat" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
plugins=(class-properties classes block-scoping destructuring parameters spread)
npm install --silent --no-fund --no-audit "@huggingface/jinja@$version" @babel/core@7 \
  "${plugins[@]/#/@babel/plugin-transform-}"

cat >down.cjs <<'JS'
const fs = require("fs");
const babel = require("@babel/core");
const [version, source, target, ...plugins] = process.argv.slice(2);
let { code } = babel.transformFileSync(source, {
  babelrc: false,
  configFile: false,
  comments: false,
  assumptions: {
    constantSuper: true,
    iterableIsArray: true,
    noClassCalls: true,
    setPublicClassFields: true,
    superIsCallableConstructor: true,
  },
  plugins: plugins.map((name) => "@babel/plugin-transform-" + name),
});
// A class that names itself is renamed on the way; the scripts beside jinja.js use its own name.
for (const name of ["StringValue"]) {
  code = code.replaceAll(new RegExp(`\\b_${name}\\b`, "g"), name);
}
const note = `/* @huggingface/jinja ${version}, MIT licence: see jinja-LICENSE.txt. Made by jinja.sh. */\n`;
fs.writeFileSync(target, note + code + "\n");
JS
node down.cjs "$version" node_modules/@huggingface/jinja/dist/index.cjs "$target/jinja.js" "${plugins[@]}"
cp node_modules/@huggingface/jinja/LICENSE "$target/jinja-LICENSE.txt"
