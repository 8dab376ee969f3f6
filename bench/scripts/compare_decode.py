"""Decoding against transformers' OLMoE with grouped_mm, ours and theirs by turns in one run.

usage: PYTHON bench/scripts/compare_decode.py layer [--dtype bf16] [--tokens 1 2 4 8]
       PYTHON bench/scripts/compare_decode.py model [--dtype bf16] [--folder F]
One sparse layer of OLMoE-1B-7B's widths with a few tokens; or a random model of these widths that
continues one text. Needs torch 2.13 and transformers 5.18 here, a JDK 25
as `java` or in MOE_JAVA, and a build: mvn -q -pl bench -am -DskipTests package. Nothing else may run
on the machine.
"""
import argparse, os, pathlib, re, statistics, subprocess, time
import torch
from transformers import DynamicCache, OlmoeConfig, OlmoeForCausalLM
from transformers.models.olmoe.modeling_olmoe import OlmoeSparseMoeBlock

p = argparse.ArgumentParser()
p.add_argument("what", choices=["layer", "model"])
p.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
p.add_argument("--tokens", type=int, nargs="+", default=[1, 2, 4, 8], help="of a layer's step")
p.add_argument("--layers", type=int, default=4)
p.add_argument("--folder", default="decode-model", help="of the random model; made if there is none")
p.add_argument("--prompt", type=int, default=16)
p.add_argument("--pairs", type=int, default=3)
p.add_argument("--steps", type=int, default=9)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--library", action="store_true", help="without the JVM's vector instructions")
a = p.parse_args()

root = pathlib.Path(__file__).resolve().parents[2]
dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
config = OlmoeConfig(num_hidden_layers=a.layers, intermediate_size=1024)
config._experts_implementation = "grouped_mm"
torch.set_num_threads(a.threads)


class Ours:
    """The Java program, which answers a line with a line."""

    def __init__(self, program, *arguments):
        pom = (root / "pom.xml").read_text()
        keys = ["jvm"] if a.library else ["jvm", "vector"]
        options = [o for k in keys
                   for o in re.search(f"<moe.{k}.args>(.*)</moe.{k}.args>", pom)[1].split()]
        classes = f"{root}/bench/target/classes:{(root / 'bench/target/classpath').read_text()}"
        java = f"{os.environ['MOE_JAVA']}/bin/java" if "MOE_JAVA" in os.environ else "java"
        self.process = subprocess.Popen(
            [java, *options, "-cp", classes, f"org.moe4j.bench.{program}",
             {"fp32": "F32", "bf16": "BF16"}[a.dtype], str(a.threads), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self):
        words = self.process.stdout.readline().split()
        assert words[0] == "ready", words
        return [float(x) for x in words[1:]]

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return [float(x) for x in self.process.stdout.readline().split()]


def timed(f):
    begin = time.perf_counter()
    result = f()
    return (time.perf_counter() - begin) * 1e3, result


def layer():
    ours = Ours("DecodeLayer")
    torch.set_default_dtype(dtype)
    block = OlmoeSparseMoeBlock(config).eval()
    torch.set_default_dtype(torch.float32)
    for w in block.parameters():
        w.uniform_(-0.03, 0.03)

    def peer(tokens):
        xs = [torch.randn(1, tokens, 2048).to(dtype) for _ in range(a.steps + 3)]
        return statistics.median([timed(lambda: block(x))[0] for x in xs][3:])

    ours.ready()
    for tokens in a.tokens:
        pairs = [(ours.ask(tokens, a.steps), peer(tokens), ours.ask("bandwidth")[0])
                 for _ in range(a.pairs)]
        mine, size = (statistics.median(o[i] for o, _, _ in pairs) for i in (0, 1))
        theirs, read = (statistics.median(x[i] for x in pairs) for i in (1, 2))
        ratios = sorted(t / o[0] for o, t, _ in pairs)
        print(f"{a.dtype} T={tokens}: ours {mine:.2f} ms = {size / mine * 1e3:.1f} GB/s of experts "
              f"(memory: {read:.1f}), peer {theirs:.2f} ms, "
              f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


def model():
    if not (pathlib.Path(a.folder) / "config.json").exists():
        torch.set_default_dtype(torch.bfloat16)
        OlmoeForCausalLM(config).to(torch.bfloat16).save_pretrained(a.folder)
        torch.set_default_dtype(torch.float32)
    ours = Ours("DecodeModel", a.folder)
    peer = OlmoeForCausalLM.from_pretrained(
        a.folder, dtype=dtype, experts_implementation="grouped_mm").eval()
    assert peer.config._experts_implementation == "grouped_mm"

    def greedy(ids, cache):
        return peer(ids, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)

    def continued():
        cache = DynamicCache(config=peer.config)
        first, ids = timed(lambda: greedy(torch.randint(0, 50304, (1, a.prompt)), cache))
        times = []
        for _ in range(a.steps):
            ms, ids = timed(lambda: greedy(ids, cache))
            times.append(ms)
        return first, statistics.median(times)

    cold = ours.ready()
    continued()
    print(f"{a.dtype}: ours, the first prompt and token of the process: {cold[0]:.0f} + {cold[1]:.0f} ms")
    pairs = [(ours.ask(a.prompt, a.steps), continued()) for _ in range(a.pairs)]
    for i, what in enumerate(["prompt of %d" % a.prompt, "token"]):
        ratios = sorted(t[i] / o[i] for o, t in pairs)
        mine, theirs = (statistics.median(x[j][i] for x in pairs) for j in (0, 1))
        print(f"{a.dtype} {what}: ours {mine:.1f} ms, peer {theirs:.1f} ms, "
              f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


with torch.no_grad():
    {"layer": layer, "model": model}[a.what]()
