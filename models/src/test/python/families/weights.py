"""Random weights that spread logits and routing, rounded to what the disk type holds."""
import re

import torch

# (pattern, where the width that a product sums over is found, standard deviation times its root)
RULES = [
    (r"experts\.(gate_up_proj|down_proj)$", "experts", 1.3),
    (r"experts\.mlp\.w2$", "dbrx_w2", 1.3),
    (r"(embed_tokens|wte|shared)\.weight$", "one", 1.0),
    (r"relative_attention_bias\.weight$", "one", 1.0),
    (r"(router|gate|gate\.wg|router\.layer|router\.classifier)\.weight$", "last", 1.6),
    (r".*", "last", 1.3),
]


def randomise(model, seed, spec):
    """Fills every parameter and router bias of `model` from `seed`, exact in the disk type."""
    generator = torch.Generator().manual_seed(seed)
    named = list(model.named_parameters())
    named += [(n, b) for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")]
    for name, p in sorted(named, key=lambda item: item[0]):
        noise = torch.randn(p.shape, generator=generator)
        value = factor(name, spec.scale) * values(model, name, p, noise)
        p.data = rounded(value, name, spec)


def factor(name, scale):
    return next((s for pattern, s in scale.items() if re.search(pattern, name)), 1.0)


def values(model, name, p, noise):
    if name.endswith("e_score_correction_bias"):
        return 0.15 * noise
    if name.endswith("sinks"):
        return noise
    if "norm" in name and name.endswith("weight") and p.dim() == 1:
        return 1 + 0.2 * noise
    if name.endswith("bias"):
        return 0.3 * noise
    for pattern, kind, std in RULES:
        if re.search(pattern, name):
            return std * noise / fan_in(model, name, p, kind) ** 0.5
    raise AssertionError(name)


def fan_in(model, name, p, kind):
    if kind == "one":
        return 1
    if kind == "dbrx_w2":
        return model.config.ffn_config.ffn_hidden_size
    if kind == "experts":
        owner = type(model.get_submodule(name.rsplit(".", 1)[0])).__name__
        return p.shape[1] if owner in ("GptOssExperts", "AriaExperts") else p.shape[2]
    return p.shape[-1]


def rounded(value, name, spec):
    if re.search(spec.keep32, name):
        return value
    return value.to(getattr(torch, spec.dtype)).float()
