"""Fixture of SparseMixerRouterTest, made with transformers 5.18 on torch 2.13.

    python sparsemixer_fixture.py src/test/resources/grin/sparsemixer.safetensors

Logits with their choices and weights by transformers' routing function in evaluation, for several
jitters: random rows of several spreads, all negative, tied, all equal, zero. First in F32, then in
BF16 (`bf16.logits`, and `weights` and `experts` that count on).
"""
import sys

import torch
from safetensors.torch import save_file
from transformers.models.phimoe.modeling_phimoe import sparsemixer

JITTERS = [0.0, 0.01, 0.1, 0.5]

generator = torch.Generator().manual_seed(3)
rows = [torch.randn(20, 6, generator=generator) * s for s in (0.01, 0.3, 1.0, 8.0)]
rows.append(-torch.rand(20, 6, generator=generator) - 0.5)
rows.append(1 + 0.02 * torch.randn(20, 6, generator=generator))
tied = torch.randint(-2, 3, (20, 6), generator=generator).float()
special = torch.tensor([[0.0] * 6, [2.0] * 6, [-3.0] * 6, [0, 0, -1, -1, 0, -1], [5, 5, 4.95, 4.9, 1, 0]])
z = torch.cat(rows + [tied, special])
tensors = {"logits": z}
tensors["bf16.logits"] = z.bfloat16()
for i, jitter in enumerate(JITTERS + JITTERS):
    logits = tensors["logits" if i < len(JITTERS) else "bf16.logits"]
    weights, experts = sparsemixer(logits, jitter, training=False)
    tensors[f"weights.{i}"] = weights.contiguous()
    tensors[f"experts.{i}"] = experts.contiguous()
save_file(tensors, sys.argv[1])
