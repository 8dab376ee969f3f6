"""Writes src/test/resources/gguf/types.gguf: two rows of random blocks of every type, their values
as the reference implementation reads them (types.f32), and metadata of every kind.
Needs numpy and gguf."""
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

out = pathlib.Path(__file__).parent.parent / "resources" / "gguf"
rng = np.random.default_rng(7)
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
          T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0]}
TYPES = [T.F32, T.F16, T.BF16, *HALVES, T.MXFP4]

w = gguf.GGUFWriter(out / "types.gguf", "test")
w.add_uint8("t.u8", 200)
w.add_int8("t.i8", -100)
w.add_uint16("t.u16", 60000)
w.add_int16("t.i16", -30000)
w.add_uint32("t.u32", 4000000000)
w.add_int32("t.i32", -2000000000)
w.add_uint64("t.u64", 1 << 40)
w.add_int64("t.i64", -(1 << 40))
w.add_float32("t.f32", 0.1)
w.add_float64("t.f64", 0.1)
w.add_bool("t.bool", True)
w.add_string("t.text", "naïve 🦜")
w.add_array("t.texts", ["a", "", "日本"])
w.add_array("t.wholes", [3, -1, 7])
w.add_array("t.numbers", [0.5, -2.25])
expected = []
for t in TYPES:
    block, size = gguf.constants.GGML_QUANT_SIZES[t]
    rows, columns = 2, 512
    if t == T.F32:
        values = rng.normal(size=(rows, columns)).astype(np.float32)
        w.add_tensor("f32", values)
        expected.append(values)
        continue
    raw = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    if t in (T.F16, T.BF16):
        values = rng.normal(size=(rows, columns)).astype(np.float32)
        bits = (values.astype(np.float16).view(np.uint16) if t == T.F16
                else (values.view(np.uint32) >> 16).astype(np.uint16))
        raw = bits.view(np.uint8).reshape(-1, size)
    for at in HALVES.get(t, []):
        scale = rng.normal(size=raw.shape[0]).astype(np.float16)
        raw[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    if t == T.MXFP4:
        raw[:, 0] = rng.integers(0, 250, raw.shape[0])
    raw = raw.reshape(rows, columns // block * size)
    w.add_tensor(t.name.lower(), raw, raw_dtype=t)
    expected.append(dequantize(raw, t).astype(np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
np.stack(expected).astype("<f4").tofile(out / "types.f32")
print("wrote", len(TYPES), "types", file=sys.stderr)
