"""What transformers says of the same checkpoints in bfloat16, in each of its implementations.

Its own implementations differ by rounding, which is the measure for anyone else's rounding.
"""
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AriaForConditionalGeneration, AutoModelForCausalLM

from . import oracle

# Attention and experts. (grouped_mm wants widths in multiples of 8, which ours are not.)
IMPLEMENTATIONS = {
    "eager": dict(attn_implementation="eager", experts_implementation="eager"),
    "sdpa": dict(attn_implementation="sdpa", experts_implementation="eager"),
    "batched": dict(attn_implementation="eager", experts_implementation="batched_mm"),
}
FAR = 0.125


def load(spec, folder, how):
    kind = AriaForConditionalGeneration if spec.model_type == "aria" else AutoModelForCausalLM
    with tempfile.TemporaryDirectory() as scratch:
        more = spec.load
        if spec.plain:
            config = json.loads((folder / "config.json").read_text())
            config.pop("quantization_config")
            (Path(scratch) / "config.json").write_text(json.dumps(config))
            tensors = spec.plain(load_file(folder / "model.safetensors"))
            save_file(tensors, Path(scratch) / "model.safetensors", metadata={"format": "pt"})
            folder, more = scratch, {}
        return kind.from_pretrained(folder, dtype=torch.bfloat16, **how, **more).eval()


def implementations(model):
    """The names of those that the class of `model` has."""
    text = getattr(model, "language_model", model)
    names = ["eager", "batched"]
    if model._supports_sdpa and text._supports_sdpa:
        names.insert(1, "sdpa")
    if model.config.model_type == "jetmoe":
        names.remove("batched")  # experts of its own
    return names


class Chosen:
    """What each router of `model` gives each token: a weight for each expert, layer by layer."""

    def __init__(self, model):
        self.model, self.layers, self.handles = model, [], []

    def __enter__(self):
        for module in self.model.modules():
            kind = type(module).__name__
            if kind.endswith("Experts") and "Parallel" not in kind:
                self.handles.append(module.register_forward_pre_hook(
                    lambda m, args: self.add(args[1], args[2])))
            if kind == "JetMoeTopKGating":
                self.handles.append(module.register_forward_hook(self.jetmoe))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def jetmoe(self, module, args, out):
        z, experts = out[4].topk(module.top_k, dim=-1)
        self.add(experts, z.softmax(-1))

    def add(self, experts, weights):
        table = torch.full((experts.shape[0], 64), -1.0)
        self.layers.append(table.scatter(1, experts, weights.float()))

    def take(self):
        layers, self.layers = torch.stack(self.layers), []
        return layers


def moved(exact, mine):
    """Tokens of which an expert is another, or has another weight by far (sparsemixer masks)."""
    return ((exact - mine).abs() > FAR).any(-1).any(0)


def expect(spec, folder, load_wide, finish):
    """Tensors of expected-bf16.safetensors.

    load_wide: gives the model in F32
    finish: repairs a loaded model as the spec says
    """
    expected = load_file(folder / "expected.safetensors")
    out, first = {}, finish(load(spec, folder, IMPLEMENTATIONS["eager"]))
    wide, rows = load_wide(), range(len(spec.lengths))
    with oracle.Watch(wide, spec.router) as watch:
        for i in rows:
            watch.gaps = []
            oracle.forward(wide, expected[f"prompt.{i}"][None])
            out[f"gap.{i}"] = torch.stack(watch.gaps).amin(0)
    for name in implementations(first):
        model = first if name == "eager" else finish(load(spec, folder, IMPLEMENTATIONS[name]))
        for i in rows:
            ids = expected[f"prompt.{i}"][None]
            with Chosen(wide) as chosen:
                oracle.forward(wide, ids)
                exact = chosen.take()
            with Chosen(model) as chosen:
                logits = oracle.forward(model, ids)[0]
                mine = chosen.take()
            assert logits.dtype == torch.bfloat16 and exact.shape == mine.shape
            out |= {f"logits.{i}.{name}": logits,
                    f"moved.{i}.{name}": moved(exact, mine).to(torch.uint8)}
    return out


def report(spec, out, expected):
    names = sorted({k.split(".")[2] for k in out if k.startswith("logits.")})
    line = []
    for name in names:
        off = torch.cat([(out[f"logits.{i}.{name}"].float() - expected[f"logits.{i}"]).abs()
                         for i in range(len(spec.lengths))])
        moved = sum(out[f"moved.{i}.{name}"].sum().item() for i in range(len(spec.lengths)))
        line.append(f"{name} {off.mean():.4f} max {off.max():.3f} moved {moved:2}")
    print(f"{spec.name:26} " + " | ".join(line), flush=True)
