"""Writes src/test/resources/models/*.gguf: tiny random models of each architecture, for tests and
for llama.cpp. Needs numpy and gguf. Their greedy continuations (*.txt) come from greedy.mjs."""
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import quantize

out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else (
    pathlib.Path(__file__).parent.parent / "resources" / "models")
out.mkdir(parents=True, exist_ok=True)
VOCABULARY = 288


def model(name, arch, seed, type_, width, heads, kv, head, hidden, experts=0, used=0, layers=2, norm=None, tied=False):
    rng = np.random.default_rng(seed)
    w = gguf.GGUFWriter(out / f"{name}.gguf", arch)
    w.add_context_length(256)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(hidden)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_key_length(head)
    w.add_value_length(head)
    w.add_rope_dimension_count(head)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-5)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(used)
        w.add_expert_feed_forward_length(hidden)
    w.add_tokenizer_model("llama")
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    names += [f"t{i}" for i in range(VOCABULARY - len(names))]
    w.add_token_list(names)
    w.add_token_scores([-float(i) for i in range(VOCABULARY)])
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)

    def put(tensor, shape, gain=1.0, type_=type_):
        a = (rng.normal(size=shape) * gain / np.sqrt(shape[-1])).astype(np.float32)
        w.add_tensor(tensor, quantize(a, type_), raw_dtype=type_)

    def scales(tensor, n):
        w.add_tensor(tensor, (1 + 0.2 * rng.normal(size=n)).astype(np.float32))

    put("token_embd.weight", (VOCABULARY, width), 8.0)
    scales("output_norm.weight", width)
    if not tied:
        put("output.weight", (VOCABULARY, width), 4.0)
    for i in range(layers):
        p = f"blk.{i}."
        scales(p + "attn_norm.weight", width)
        scales(p + "ffn_norm.weight", width)
        put(p + "attn_q.weight", (heads * head, width))
        put(p + "attn_k.weight", (kv * head, width))
        put(p + "attn_v.weight", (kv * head, width))
        put(p + "attn_output.weight", (width, heads * head))
        if norm:
            scales(p + "attn_q_norm.weight", head if norm == "head" else heads * head)
            scales(p + "attn_k_norm.weight", head if norm == "head" else kv * head)
        if experts:
            put(p + "ffn_gate_inp.weight", (experts, width), 3.0, T.F32)
            put(p + "ffn_gate_exps.weight", (experts, hidden, width), 1.5)
            put(p + "ffn_up_exps.weight", (experts, hidden, width), 1.5)
            put(p + "ffn_down_exps.weight", (experts, width, hidden), 1.5)
        else:
            put(p + "ffn_gate.weight", (hidden, width), 1.5)
            put(p + "ffn_up.weight", (hidden, width), 1.5)
            put(p + "ffn_down.weight", (width, hidden), 1.5)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


model("llama-f16", "llama", 1, T.F16, 64, 4, 2, 16, 96, tied=True)
model("llama-q8_0", "llama", 2, T.Q8_0, 64, 2, 1, 32, 96)
model("mixtral-q4_0", "llama", 3, T.Q4_0, 64, 4, 2, 32, 96, 4, 2)
model("olmoe-q4_0", "olmoe", 4, T.Q4_0, 64, 2, 2, 32, 64, 8, 3, norm="all")
model("olmoe-bf16", "olmoe", 5, T.BF16, 64, 2, 2, 32, 32, 8, 3, norm="all")
model("qwen3moe-q4_0", "qwen3moe", 6, T.Q4_0, 64, 4, 2, 32, 64, 8, 2, norm="head")
model("qwen3moe-q8_0", "qwen3moe", 7, T.Q8_0, 64, 4, 1, 32, 32, 8, 2, norm="head")
