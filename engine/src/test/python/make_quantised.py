"""Writes src/test/resources/gguf/quantised.bin: 4 x 256 floats and their bytes in F16, BF16, Q8_0 and
Q4_0 as the reference quantisers write them. Needs numpy and gguf."""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import quantize

out = pathlib.Path(__file__).parent.parent / "resources" / "gguf"
rng = np.random.default_rng(11)
x = (rng.normal(size=(4, 256)) * np.array([[1], [1e-3], [30], [1]])).astype(np.float32)
x[3, :64] = 0  # blocks of zeros
x[3, 64:96] = np.round(x[3, 64:96] * 2) / 2  # ties
with open(out / "quantised.bin", "wb") as f:
    f.write(x.tobytes())
    for t in (T.F16, T.BF16, T.Q8_0, T.Q4_0):
        f.write(quantize(x, t).tobytes())
