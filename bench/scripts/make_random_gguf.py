#!/usr/bin/env python3
"""Writes a GGUF file of random weights in the shape of a known model, for measuring speed.

    make_random_gguf.py olmoe|qwen3moe8 q4_0|q4_k|q8_0 FILE [LAYERS]

olmoe is OLMoE-1B-7B; qwen3moe8 is Qwen3-30B-A3B cut to 8 layers; LAYERS
cuts further. Needs numpy and gguf."""
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

SHAPES = {
    "olmoe": dict(arch="olmoe", layers=16, width=2048, heads=16, kv=16, head=128, experts=64, used=8, hidden=1024,
                  vocabulary=50304, base=10000.0, norm="all"),
    "qwen3moe8": dict(arch="qwen3moe", layers=8, width=2048, heads=32, kv=4, head=128, experts=128, used=8, hidden=768,
                      vocabulary=151936, base=1000000.0, norm="head"),
}
name, kind, path, *cut = sys.argv[1:]
s = SHAPES[name]
if cut:
    s["layers"] = int(cut[0])
type_ = {"q4_0": T.Q4_0, "q4_k": T.Q4_K, "q8_0": T.Q8_0}[kind]
columns, block = {T.Q4_0: (32, 18), T.Q4_K: (256, 144), T.Q8_0: (32, 34)}[type_]
rng = np.random.default_rng(1)
w = gguf.GGUFWriter(path, s["arch"])
w.add_context_length(4096)
w.add_embedding_length(s["width"])
w.add_block_count(s["layers"])
w.add_feed_forward_length(s["hidden"])
w.add_expert_feed_forward_length(s["hidden"])
w.add_head_count(s["heads"])
w.add_head_count_kv(s["kv"])
w.add_key_length(s["head"])
w.add_value_length(s["head"])
w.add_rope_freq_base(s["base"])
w.add_layer_norm_rms_eps(1e-5)
w.add_expert_count(s["experts"])
w.add_expert_used_count(s["used"])
w.add_tokenizer_model("llama")
names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
names += [f"t{i}" for i in range(s["vocabulary"] - len(names))]
w.add_token_list(names)
w.add_token_scores([-float(i) for i in range(len(names))])
w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(names) - 259))
w.add_bos_token_id(1)
w.add_eos_token_id(2)


def values(*shape):
    """Random blocks whose numbers have a variance of about 1 / columns."""
    blocks = shape[-1] // columns
    raw = rng.integers(0, 256, size=(*shape[:-1], blocks, block), dtype=np.uint8)
    if type_ == T.Q4_0:  # -8 is left out: with a mean of their own, weights would drown the tokens
        raw = rng.integers(1, 16, size=raw.shape, dtype=np.uint8) * 16 + rng.integers(1, 16, size=raw.shape, dtype=np.uint8)
    unit = {T.Q4_0: 1 / 4.6, T.Q4_K: 1 / 250, T.Q8_0: 1 / 74}[type_] / np.sqrt(shape[-1])
    raw[..., :2] = np.frombuffer(np.float16(unit).tobytes(), np.uint8)
    if type_ == T.Q4_K:  # what is subtracted: the middle code times the scale, on average
        raw[..., 2:4] = np.frombuffer(np.float16(unit * 7.5).tobytes(), np.uint8)
    return raw.reshape(*shape[:-1], blocks * block)


tensors = [("token_embd.weight", (s["vocabulary"], s["width"])), ("output.weight", (s["vocabulary"], s["width"]))]
vectors = [("output_norm.weight", s["width"])]
routers = []
q, k = s["heads"] * s["head"], s["kv"] * s["head"]
for i in range(s["layers"]):
    p = f"blk.{i}."
    tensors += [(p + "attn_q.weight", (q, s["width"])), (p + "attn_k.weight", (k, s["width"])),
                (p + "attn_v.weight", (k, s["width"])), (p + "attn_output.weight", (s["width"], q)),
                (p + "ffn_gate_exps.weight", (s["experts"], s["hidden"], s["width"])),
                (p + "ffn_up_exps.weight", (s["experts"], s["hidden"], s["width"])),
                (p + "ffn_down_exps.weight", (s["experts"], s["width"], s["hidden"]))]
    routers.append(p + "ffn_gate_inp.weight")
    vectors += [(p + "attn_norm.weight", s["width"]), (p + "ffn_norm.weight", s["width"]),
                (p + "attn_q_norm.weight", q if s["norm"] == "all" else s["head"]),
                (p + "attn_k_norm.weight", k if s["norm"] == "all" else s["head"])]
for tensor, shape in tensors:
    bytes_ = int(np.prod(shape)) // columns * block
    row = (*shape[:-1], shape[-1] // columns * block)
    w.add_tensor_info(tensor, row, np.uint8, bytes_, raw_dtype=type_)
for tensor in routers:
    w.add_tensor_info(tensor, (s["experts"], s["width"]), np.dtype(np.float32), s["experts"] * s["width"] * 4)
for tensor, n in vectors:
    w.add_tensor_info(tensor, (n,), np.dtype(np.float32), n * 4)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_ti_data_to_file()
for tensor, shape in tensors:
    w.write_tensor_data(values(*shape))
for tensor in routers:
    w.write_tensor_data((rng.normal(size=(s["experts"], s["width"])) / np.sqrt(s["width"])).astype(np.float32))
for tensor, n in vectors:
    w.write_tensor_data(np.ones(n, np.float32))
w.close()
