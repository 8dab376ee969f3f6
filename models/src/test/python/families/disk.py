"""Checkpoints as they lie in a released directory."""
import json
import re
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AriaForConditionalGeneration, AutoConfig, AutoModelForCausalLM

EAGER = dict(attn_implementation="eager", experts_implementation="eager")


def build(spec):
    """The model of `spec` in F32; its weights are not set."""
    config = AutoConfig.for_model(spec.model_type, **json.loads(json.dumps(spec.config)))
    kind = (AriaForConditionalGeneration._from_config if spec.model_type == "aria"
            else AutoModelForCausalLM.from_config)
    model = kind(config, dtype=torch.float32, **EAGER).eval()
    for module in model.modules():
        if type(module).__name__ == "DbrxRouter":
            module.fixture_top_k = config.ffn_config.moe_top_k
    return model


def save(model, spec, folder):
    """Writes config.json and model.safetensors of `model`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch, save_original_format=not spec.fused)
        tensors = load_file(Path(scratch) / "model.safetensors")
        config = json.loads((Path(scratch) / "config.json").read_text())
    tensors = {n: t if re.search(spec.keep32, n) else t.to(getattr(torch, spec.dtype))
               for n, t in tensors.items()}
    if spec.layout:
        tensors = spec.layout(tensors, model)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config["dtype"] = spec.dtype
    if spec.style == "4x":
        config = spelling_4x(config)
    config |= spec.extra_config
    for key in spec.drop_config:
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def spelling_4x(config):
    """The keys of transformers 4: torch_dtype, rope_theta and rope_scaling."""
    out = {k: spelling_4x(v) if k == "text_config" else v for k, v in config.items()
           if k not in ("dtype", "rope_parameters")}
    if "dtype" in config:
        out["torch_dtype"] = config["dtype"]
    if "transformers_version" in config:
        out["transformers_version"] = "4.57.1"
    rope = dict(config.get("rope_parameters") or {})
    if rope:
        out["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        if "partial_rotary_factor" in rope:
            out["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        name = "rope_type" if config["model_type"] == "gpt_oss" else "type"
        out["rope_scaling"] = None if kind == "default" else {name: kind} | rope
    return out


def load(spec, folder):
    """What transformers makes of the directory, in F32."""
    kind = AriaForConditionalGeneration if spec.model_type == "aria" else AutoModelForCausalLM
    model, info = kind.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, **EAGER, **spec.load)
    skipped = {n for n in info["unexpected_keys"] if re.search(r"layers\.2\.|mtp_", n)}
    wrong = {k: v for k, v in info.items() if v and set(v) - skipped}
    assert not wrong, f"{spec.name}: {wrong}"
    return model.float().eval()


def load_plain(spec, folder):
    """As load, from F32 tensors that `spec.plain` made."""
    with tempfile.TemporaryDirectory() as scratch:
        config = json.loads((folder / "config.json").read_text())
        config.pop("quantization_config")
        (Path(scratch) / "config.json").write_text(json.dumps(config))
        tensors = spec.plain(load_file(folder / "model.safetensors"))
        save_file(tensors, Path(scratch) / "model.safetensors", metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(scratch, dtype=torch.float32, **EAGER)
    return model.eval()
