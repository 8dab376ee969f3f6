"""Makes the fixtures of LowBitFixtureTest: some quantised tensors of the models module's families
deepseek_v3-fp8 and gpt_oss-mxfp4, and the SHA-256 of what they stand for in F32 and BF16, computed
by numpy from the codes' bits (MXFP4 also by transformers 5.18, which must agree).

    python low_bit_fixture.py ../models/src/test/resources/families src/test/resources/lowbit
"""
import hashlib
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

FAMILIES, OUT = map(pathlib.Path, sys.argv[1:])
FP8 = ["mlp.down_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.kv_b_proj",
       "self_attn.o_proj", "self_attn.q_b_proj"]
MXFP4 = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def e4m3(codes):
    exponent, fraction = codes >> 3 & 15, codes & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0 ** -6,
                    (1 + fraction / 8) * 2.0 ** (exponent.astype(np.int64) - 7))
    size[(codes & 127) == 127] = np.nan
    return np.where(codes & 128, -size, size)


def fp8(codes, scales, block=128):
    codes = codes.view(torch.uint8).numpy()
    rows, columns = codes.shape
    spread = scales.numpy().repeat(block, 0).repeat(block, 1)[:rows, :columns]
    return torch.from_numpy((e4m3(codes) * spread.astype(np.float64)).astype(np.float32))


def mxfp4(blocks, scales):
    b, sizes = blocks.numpy(), np.array([0, .5, 1, 1.5, 2, 3, 4, 6])
    codes = np.stack([b & 15, b >> 4], -1).reshape(*b.shape[:-1], 32)
    values = np.where(codes & 8, -sizes[codes & 7], sizes[codes & 7])
    values = np.ldexp(values, scales.numpy().astype(np.int32)[..., None] - 127)
    out = torch.from_numpy(values.astype(np.float32)).flatten(-2)
    theirs = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16).transpose(1, 2)
    assert torch.equal(out.to(torch.bfloat16), theirs)
    return out


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


OUT.mkdir(exist_ok=True)
lines = []
for family, names, ends, decode in [
        ("deepseek_v3-fp8", FP8, (".weight", ".weight_scale_inv"), fp8),
        ("gpt_oss-mxfp4", MXFP4, ("_blocks", "_scales"), mxfp4)]:
    stored = load_file(FAMILIES / family / "model.safetensors")
    part = {}
    for name in (f"model.layers.0.{n}" for n in names):
        codes, scales = (stored[name + end] for end in ends)
        part |= {name + ends[0]: codes, name + ends[1]: scales}
        value = decode(codes, scales)
        shape = "x".join(map(str, value.shape))
        lines.append(f"{family} {name} {shape} {digest(value)} {digest(value.to(torch.bfloat16))}")
    save_file(part, OUT / f"{family}.safetensors")
(OUT / "expected.txt").write_text("\n".join(lines) + "\n")
