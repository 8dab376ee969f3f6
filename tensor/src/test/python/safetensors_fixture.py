"""Makes and checks the fixtures of SafetensorsTest with the Python library (safetensors, torch).

    python safetensors_fixture.py write src/test/resources/safetensors/from_python.safetensors
    python safetensors_fixture.py check src/test/resources/safetensors/from_moe4j.safetensors
"""
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FLOATS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
    "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn,
}
INTS = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8}


def tensors():
    six = torch.arange(6)
    out = {k: (six * 0.5 - 1).reshape(2, 3).to(t) for k, t in FLOATS.items()}
    out |= {k: (six - 3).reshape(3, 2).to(t) for k, t in INTS.items()}
    out["F8_E8M0"] = torch.ldexp(torch.ones(6), six - 2).reshape(2, 3).to(torch.float8_e8m0fnu)
    out["U8"] = (six * 50).to(torch.uint8)
    out["BOOL"] = (six % 2 == 1).reshape(1, 6)
    out["scalar"] = torch.tensor(2.5)
    out["empty"] = torch.zeros(0, 3)
    out["größe \U0001F40D"] = torch.tensor([7], dtype=torch.int64)
    return out


if sys.argv[1] == "write":
    save_file(tensors(), sys.argv[2], metadata={"format": "pt", "note": "ä\n"})
else:
    expected = tensors()
    with safe_open(sys.argv[2], "pt") as f:
        assert set(f.keys()) == set(expected), f.keys()
        assert f.metadata() == {"format": "pt", "note": "ä\n"}, f.metadata()
        for name, want in expected.items():
            got = f.get_tensor(name)
            assert got.dtype == want.dtype and got.shape == want.shape, name
            assert torch.equal(got.to(torch.float64), want.to(torch.float64)), name
    print("equal")
