"""Fixtures of the model families: tiny random checkpoints and what transformers says of them.

    python make_families.py ../resources/families [NAME ...]
    python make_families.py --check ../resources/families [NAME ...]
    python make_families.py --bf16 ../resources/families [NAME ...]

Made with transformers 5.18.0 on torch 2.13.0 in F32 with eager attention and experts. Every
checkpoint is seeded until no routing decision and no greedy token is near a tie, saved in the
layout of the released files, loaded again, and measured as loaded. --check only loads what lies
there and compares its logits with expected.safetensors. --bf16 leaves everything as it lies and
adds expected-bf16.safetensors, what transformers makes of it in bfloat16 (decoders only).
"""
import json
import sys
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from families import disk, half, llama_like, oracle, shared_and_latent, special, switch
from families.weights import randomise

SPECS = llama_like.SPECS + shared_and_latent.SPECS + special.SPECS
SEEDS = 1000


def seeded(spec, first=1):
    """(seed, model, prompts) of the first seed that meets every condition."""
    model = disk.build(spec)
    if spec.patch:
        spec.patch(model)
    complaint = None
    for seed in range(first, first + SEEDS):
        randomise(model, seed, spec)
        if spec.exact:
            spec.exact(model)
        rows = oracle.prompts(model, spec, vocabulary(model), seed)
        if rows is None:
            complaint = "no prompt"
            continue
        complaint = oracle.expect(model, spec, rows)[3] or (
            spec.require(model, rows) if spec.require else None)
        if not complaint:
            return seed, model, rows
    raise SystemExit(f"{spec.name}: no seed of {SEEDS}: {complaint}")


def vocabulary(model):
    return model.config.get_text_config().vocab_size


def make(spec, root, seed=None):
    seed, model, rows = seeded(spec, seed) if seed else seeded(spec)
    folder = root / spec.name
    disk.save(model, spec, folder)
    loaded = reloaded(spec, folder)
    if spec.load:
        theirs = disk.load(spec, folder)
        assert torch.equal(oracle.forward(theirs, rows[0]), oracle.forward(loaded, rows[0]))
    out, routing, greedy, complaint = oracle.expect(loaded, spec, rows)
    assert not complaint, f"{spec.name}: {complaint}"
    drift = max((oracle.forward(model, ids)[0] - out[f"logits.{i}"]).abs().max().item()
                for i, ids in enumerate(rows))
    assert drift < 1e-5, f"{spec.name}: reloaded logits differ by {drift}"
    write(folder, out, seed, routing, greedy)
    size = (folder / "model.safetensors").stat().st_size
    print(f"{spec.name:26} seed {seed:4} routing {routing:.1e} greedy {greedy:.1e} "
          f"drift {drift:.0e} std {out['logits.0'].std():.2f} {size} bytes", flush=True)
    return seed


def reloaded(spec, folder):
    return repaired(disk.load_plain(spec, folder) if spec.plain else disk.load(spec, folder), spec)


def repaired(model, spec):
    if spec.patch:
        spec.patch(model)
    for module in model.modules():
        if type(module).__name__ == "DbrxRouter":
            module.fixture_top_k = model.config.ffn_config.moe_top_k
    return model


def make_bf16(spec, root):
    if spec.same_as:
        return  # the weights of another fixture
    folder = root / spec.name
    out = half.expect(spec, folder, lambda: reloaded(spec, folder), lambda m: repaired(m, spec))
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "expected-bf16.safetensors")
    (folder / "expected-bf16.safetensors").chmod(0o644)
    half.report(spec, out, load_file(folder / "expected.safetensors"))


def check(spec, root):
    expected = load_file(root / spec.name / "expected.safetensors")
    model = reloaded(spec, root / spec.name)
    off = max((oracle.forward(model, expected[f"prompt.{i}"][None])[0]
               - expected[f"logits.{i}"]).abs().max().item() for i in range(len(spec.lengths)))
    print(f"{spec.name:26} {off:.1e}", flush=True)
    assert off < 1e-5


def write(folder, out, seed, routing, greedy, **more):
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "expected.safetensors")
    about = dict(seed=seed, smallest_routing_gap=round(routing, 5),
                 smallest_greedy_gap=round(greedy, 5), torch=torch.__version__.split("+")[0],
                 transformers=transformers.__version__) | more
    (folder / "expected.json").write_text(json.dumps(about, indent=2) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    checking, halving = "--check" in sys.argv, "--bf16" in sys.argv
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    root, wanted = Path(arguments[0]), arguments[1:]
    for spec in SPECS:
        if wanted and not any(spec.name.startswith(w) for w in wanted):
            continue
        if checking or halving:
            (check if checking else make_bf16)(spec, root)
            continue
        seed = None
        if spec.same_as:
            seed = json.loads((root / spec.same_as / "expected.json").read_text())["seed"]
        make(spec, root, seed)
    if halving:
        return
    (switch.check_all if checking else switch.make_all)(root, wanted, write)


if __name__ == "__main__":
    main()
