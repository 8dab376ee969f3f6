"""Makes the fixtures of TorchFileTest with torch: state dicts and the values torch reads from them.

    python torch_fixture.py src/test/resources/torch
"""
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)


def state():
    six = torch.arange(6)
    out = OrderedDict()
    for t in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        out[str(t)] = (six * 0.5 - 1).reshape(2, 3).to(t)
    for t in (torch.int64, torch.int32, torch.int16, torch.int8):
        out[str(t)] = (six - 3).reshape(3, 2).to(t)
    out["torch.uint8"] = (six * 50).to(torch.uint8)
    out["torch.bool"] = (six % 2 == 1).reshape(1, 6)
    stack = torch.randn(3, 4, 5).to(torch.bfloat16)
    for e in range(3):
        out[f"experts.{e}.t"] = stack[e].t()
    out["stack"] = stack
    out["tied"] = stack
    out["column"] = torch.randn(6, 7)[:, 3]
    out["steps"] = torch.randn(8, 6)[1::3, ::2]
    out["permuted"] = torch.randn(2, 3, 4).to(torch.float16).permute(2, 0, 1)
    out["windows"] = torch.arange(10).as_strided((2, 4), (3, 1), 1)
    out["ids"] = torch.arange(5).expand((1, -1))
    out["scalar"] = torch.tensor(2.5)
    out["empty"] = torch.zeros(0, 3)
    out["empty slice"] = torch.randn(5)[5:]
    out["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    out["größe \U0001F40D"] = torch.tensor([7])
    return out


tensors = state()
expected = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
save_file(expected, OUT / "expected.safetensors")

tensors._metadata = OrderedDict([("", {"version": 1}), ("a.b", {"version": 2})])
torch.save(tensors, OUT / "state.bin")
extras = dict(tensors) | {"version": 3, "note": "x", "rate": 0.5, "none": None, "flag": True,
                          "long": 1 << 40, "negative": -70000}
torch.save(extras, OUT / "protocol4.bin", pickle_protocol=4)

one = {"a": torch.arange(4.0)}
torch.save(one, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save({"model": one}, OUT / "nested.bin")
torch.save({"a": torch.ones(1).expand(1000)}, OUT / "expanded.bin")
torch.save({"a": torch.ones(2, dtype=torch.complex64)}, OUT / "complex.bin")
torch.save(torch.nn.Linear(2, 2), OUT / "module.bin")
torch.save({"a": torch.eye(2).to_sparse()}, OUT / "sparse.bin")
