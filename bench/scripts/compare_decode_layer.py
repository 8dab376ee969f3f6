"""A sparse layer with a few tokens against transformers' OLMoE block with grouped_mm, by turns.

usage: PYTHON bench/scripts/compare_decode_layer.py [--dtype bf16] [--tokens 1 2 4 8] [--pairs 3]
The widths are OLMoE-1B-7B's. Needs torch 2.13 and transformers 5.18 here, a JDK 25 as `java` or in
MOE_JAVA, and a build: mvn -q -pl bench -am -DskipTests package. Nothing else may run on the machine.
"""
import argparse, os, pathlib, re, statistics, subprocess, time
import torch
from transformers import OlmoeConfig
from transformers.models.olmoe.modeling_olmoe import OlmoeSparseMoeBlock

p = argparse.ArgumentParser()
p.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
p.add_argument("--tokens", type=int, nargs="+", default=[1, 2, 4, 8])
p.add_argument("--pairs", type=int, default=3)
p.add_argument("--steps", type=int, default=9)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--library", action="store_true", help="without the JVM's vector instructions")
a = p.parse_args()

root = pathlib.Path(__file__).resolve().parents[2]
pom = (root / "pom.xml").read_text()
options = [o for key in ["jvm"] + ([] if a.library else ["vector"])
           for o in re.search(f"<moe.{key}.args>(.*)</moe.{key}.args>", pom)[1].split()]
classes = f"{root}/bench/target/classes:{(root / 'bench/target/classpath').read_text()}"
java = f"{os.environ['MOE_JAVA']}/bin/java" if "MOE_JAVA" in os.environ else "java"
ours = subprocess.Popen(
    [java, *options, "-cp", classes, "org.moe4j.bench.DecodeLayer",
     {"fp32": "F32", "bf16": "BF16"}[a.dtype], str(a.threads)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

torch.set_num_threads(a.threads)
dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
config = OlmoeConfig(intermediate_size=1024)
config._experts_implementation = "grouped_mm"
torch.set_default_dtype(dtype)
block = OlmoeSparseMoeBlock(config).eval()
torch.set_default_dtype(torch.float32)
with torch.no_grad():
    for w in block.parameters():
        w.uniform_(-0.03, 0.03)


def ask(*words):
    ours.stdin.write(" ".join(map(str, words)) + "\n")
    ours.stdin.flush()
    return [float(x) for x in ours.stdout.readline().split()]


@torch.no_grad()
def peer(tokens):
    times = []
    for _ in range(a.steps + 3):
        x = torch.randn(1, tokens, 2048).to(dtype)
        begin = time.perf_counter()
        block(x)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[3:]) * 1e3


assert ours.stdout.readline() == "ready\n"
for tokens in a.tokens:
    runs = [(*ask(tokens, a.steps), *ask("bandwidth"), peer(tokens)) for _ in range(a.pairs)]
    mine, size, read, theirs = (statistics.median(r[i] for r in runs) for i in range(4))
    ratios = sorted(r[3] / r[0] for r in runs)
    print(f"{a.dtype} T={tokens}: ours {mine:.2f} ms = {size / mine * 1e3:.1f} GB/s of experts "
          f"(memory is read at {read:.1f}), peer {theirs:.2f} ms, "
          f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)
ours.stdin.close()
ours.wait()
