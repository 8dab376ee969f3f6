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


class Model:
    """One file in the making; tensors get random numbers in the order in which they are put."""

    def __init__(self, name, arch, seed, type_, width, hidden, layers):
        self.rng = np.random.default_rng(seed)
        self.type = type_
        self.w = w = gguf.GGUFWriter(out / f"{name}.gguf", arch)
        w.add_context_length(256)
        w.add_embedding_length(width)
        w.add_block_count(layers)
        w.add_feed_forward_length(hidden)
        w.add_rope_freq_base(10000.0)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_tokenizer_model("llama")
        names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
        names += [f"t{i}" for i in range(VOCABULARY - len(names))]
        w.add_token_list(names)
        w.add_token_scores([-float(i) for i in range(VOCABULARY)])
        w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)

    def put(self, tensor, shape, gain=1.0, type_=None):
        type_ = self.type if type_ is None else type_
        a = (self.rng.normal(size=shape) * gain / np.sqrt(shape[-1])).astype(np.float32)
        self.w.add_tensor(tensor + ".weight", quantize(a, type_), raw_dtype=type_)

    def scales(self, tensor, n):
        a = (1 + 0.2 * self.rng.normal(size=n)).astype(np.float32)
        self.w.add_tensor(tensor + ".weight", a)

    def numbers(self, tensor, shape, size=0.3):
        self.w.add_tensor(tensor, (size * self.rng.normal(size=shape)).astype(np.float32))

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()


def model(name, arch, seed, type_, width, heads, kv, head, hidden, experts=0, used=0, layers=2,
          norm=None, tied=False, rotated=None, biases=(), latent=None, dense=0, expert_hidden=None,
          expert_type=None, shared=0, shared_gate=False, preference=False, sinks=False, nextn=0,
          after="ffn_norm", keys=lambda w: None, factors=()):
    """A decoder. biases: of which tensors; latent: query rank (0 for none), rank, plain, rotated and
    value sizes, True for split matrices; dense: leading layers that do not route; keys: further
    metadata; factors: names of tensors of rotary divisors."""
    m = Model(name, arch, seed, type_, width, hidden, layers + nextn)
    w = m.w
    w.add_head_count(heads)
    if latent:
        query_rank, rank, plain, rotated, value, split = latent
        w.add_q_lora_rank(query_rank)
        w.add_kv_lora_rank(rank)
        w.add_head_count_kv(1 if split else heads)
        w.add_key_length(rank + rotated if split else plain + rotated)
        w.add_value_length(rank if split else value)
        if split:
            w.add_key_length_mla(plain + rotated)
            w.add_value_length_mla(value)
    else:
        w.add_head_count_kv(kv)
        w.add_key_length(head)
        w.add_value_length(head)
    w.add_rope_dimension_count(rotated or head)
    if experts:
        expert_hidden = expert_hidden or hidden
        w.add_expert_count(experts)
        w.add_expert_used_count(used)
        w.add_expert_feed_forward_length(expert_hidden)
    keys(w)

    def bias(tensor, shape):
        if tensor.split(".")[-1] in biases:
            m.numbers(tensor + ".bias", shape)

    def put(tensor, shape, *how):
        m.put(tensor, shape, *how)
        bias(tensor, shape[:-1])

    def scales(tensor, n):
        m.scales(tensor, n)
        bias(tensor, n)

    put("token_embd", (VOCABULARY, width), 8.0)
    scales("output_norm", width)
    if not tied:
        put("output", (VOCABULARY, width), 4.0)
    for factor in factors:
        a = np.geomspace(1, 8, (rotated or head) // 2) * (1 if "long" in factor else 0.5)
        w.add_tensor(factor + ".weight", a.astype(np.float32))
    for i in range(layers + nextn):
        p = f"blk.{i}."
        scales(p + "attn_norm", width)
        scales(p + after, width)
        if latent:
            if query_rank:
                put(p + "attn_q_a", (query_rank, width))
                scales(p + "attn_q_a_norm", query_rank)
                put(p + "attn_q_b", (heads * (plain + rotated), query_rank))
            else:
                put(p + "attn_q", (heads * (plain + rotated), width))
            put(p + "attn_kv_a_mqa", (rank + rotated, width))
            scales(p + "attn_kv_a_norm", rank)
            if split:
                put(p + "attn_k_b", (heads, rank, plain))
                put(p + "attn_v_b", (heads, value, rank))
            else:
                put(p + "attn_kv_b", (heads * (plain + value), rank))
            put(p + "attn_output", (width, heads * value))
        else:
            put(p + "attn_q", (heads * head, width))
            put(p + "attn_k", (kv * head, width))
            put(p + "attn_v", (kv * head, width))
            put(p + "attn_output", (width, heads * head))
        if norm:
            scales(p + "attn_q_norm", head if norm == "head" else heads * head)
            scales(p + "attn_k_norm", head if norm == "head" else kv * head)
        if sinks:
            m.numbers(p + "attn_sinks.weight", heads, 1.0)
        if experts and i >= dense:
            put(p + "ffn_gate_inp", (experts, width), 3.0, T.F32)
            if preference:
                m.numbers(p + "exp_probs_b.bias", experts)
            for part, rows, columns in (
                    ("gate", expert_hidden, width), ("up", expert_hidden, width),
                    ("down", width, expert_hidden)):
                put(p + f"ffn_{part}_exps", (experts, rows, columns), 1.5, expert_type)
            if shared:
                put(p + "ffn_gate_shexp", (shared, width), 1.5)
                put(p + "ffn_up_shexp", (shared, width), 1.5)
                put(p + "ffn_down_shexp", (width, shared), 1.5)
                if shared_gate:
                    m.numbers(p + "ffn_gate_inp_shexp.weight", width)
        else:
            put(p + "ffn_gate", (hidden, width), 1.5)
            put(p + "ffn_up", (hidden, width), 1.5)
            put(p + "ffn_down", (width, hidden), 1.5)
        if i >= layers:
            put(p + "nextn.eh_proj", (width, 2 * width))
            scales(p + "nextn.enorm", width)
            scales(p + "nextn.hnorm", width)
    m.close()


def mixture(shared=0, dense=0, gating=0, scale=0.0, norm=None, groups=None):
    def keys(w):
        if shared:
            w.add_expert_shared_count(shared)
        w.add_leading_dense_block_count(dense)
        if gating:
            w.add_expert_gating_func(gguf.ExpertGatingFuncType(gating))
        if scale:
            w.add_expert_weights_scale(scale)
        if norm is not None:
            w.add_expert_weights_norm(norm)
        if groups:
            w.add_expert_group_count(groups[0])
            w.add_expert_group_used_count(groups[1])
    return keys


def rope(type_, factor=None, original=64, log_multiplier=None, attention=None):
    def keys(w):
        w.add_rope_scaling_type(type_)
        if factor:
            w.add_rope_scaling_factor(factor)
        w.add_rope_scaling_orig_ctx_len(original)
        if log_multiplier:
            w.add_rope_scaling_yarn_log_mul(log_multiplier)
        if attention:
            w.add_rope_scaling_attn_factors(attention)
    return keys


def both(*many):
    def keys(w):
        for one in many:
            one(w)
    return keys


def granite(w):
    w.add_embedding_scale(0.5)
    w.add_residual_scale(0.5)
    w.add_attention_scale(0.1)
    w.add_logit_scale(2.0)


QKV = ("attn_q", "attn_k", "attn_v")
EXPERTS = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_inp")
YARN = gguf.RopeScalingType.YARN
model("llama-f16", "llama", 1, T.F16, 64, 4, 2, 16, 96, tied=True)
model("llama-q8_0", "llama", 2, T.Q8_0, 64, 2, 1, 32, 96)
model("llama-freqs-f16", "llama", 11, T.F16, 64, 4, 2, 16, 96, factors=("rope_freqs",))
model("llama-linear-f32", "llama", 12, T.F32, 32, 2, 1, 16, 64,
      keys=rope(gguf.RopeScalingType.LINEAR, 4.0))
model("mixtral-q4_0", "llama", 3, T.Q4_0, 64, 4, 2, 32, 96, 4, 2)
model("mixtral-f16", "llama", 13, T.F16, 64, 4, 2, 16, 32, 4, 2)
model("olmoe-q4_0", "olmoe", 4, T.Q4_0, 64, 2, 2, 32, 64, 8, 3, norm="all")
model("olmoe-bf16", "olmoe", 5, T.BF16, 64, 2, 2, 32, 32, 8, 3, norm="all")
model("olmoe-f16", "olmoe", 14, T.F16, 64, 2, 2, 32, 32, 8, 3, norm="all")
model("qwen2-f16", "qwen2", 15, T.F16, 64, 4, 2, 16, 96, biases=QKV, tied=True)
model("qwen2moe-f16", "qwen2moe", 16, T.F16, 64, 4, 4, 16, 64, 8, 3, biases=QKV, expert_hidden=32,
      shared=64, shared_gate=True, keys=lambda w: w.add_expert_shared_feed_forward_length(64))
model("qwen2moe-q5_0", "qwen2moe", 17, T.Q5_0, 64, 4, 2, 16, 64, 8, 3, biases=QKV,
      expert_hidden=32, expert_type=T.Q4_0, shared=64, shared_gate=True,
      keys=lambda w: w.add_expert_shared_feed_forward_length(64))
model("qwen3-f16", "qwen3", 18, T.F16, 64, 4, 2, 32, 96, norm="head",
      keys=rope(YARN, 4.0))
model("qwen3moe-q4_0", "qwen3moe", 6, T.Q4_0, 64, 4, 2, 32, 64, 8, 2, norm="head")
model("qwen3moe-q8_0", "qwen3moe", 7, T.Q8_0, 64, 4, 1, 32, 32, 8, 2, norm="head")
model("qwen3moe-f16", "qwen3moe", 19, T.F16, 64, 4, 1, 32, 32, 8, 2, norm="head")
model("deepseek2-lite-f16", "deepseek2", 20, T.F16, 64, 4, 4, 48, 96, 8, 3, layers=3,
      latent=(0, 32, 32, 16, 24, True), dense=1, expert_hidden=32, shared=64,
      keys=both(mixture(2, 1, 1, 1.0, False), rope(YARN, 4.0, log_multiplier=0.0707)))
model("deepseek2-old-f16", "deepseek2", 21, T.F16, 64, 4, 4, 48, 96, 8, 3, layers=2,
      latent=(48, 32, 32, 16, 24, False), dense=1, expert_hidden=32, shared=64,
      keys=both(mixture(2, 1, 0, 4.0), rope(YARN, 4.0)))
model("deepseek2-v3-f16", "deepseek2", 22, T.F16, 64, 4, 4, 48, 96, 8, 2, layers=3,
      latent=(32, 48, 32, 16, 24, True), dense=1, expert_hidden=32, shared=32, preference=True,
      keys=both(mixture(1, 1, 2, 2.5, True, (4, 2)), rope(YARN, 4.0, log_multiplier=0.1)))
model("deepseek2-v3-q4_0", "deepseek2", 23, T.Q8_0, 64, 4, 4, 48, 96, 8, 2, layers=2,
      latent=(32, 64, 32, 32, 32, True), dense=1, expert_hidden=64, expert_type=T.Q4_0, shared=64,
      preference=True, keys=mixture(1, 1, 2, 2.5, True, (4, 2)))
for which, original in (("long", 64), ("short", 256)):
    model(f"phimoe-{which}-f16", "phimoe", 24, T.F16, 64, 4, 2, 16, 32, 8, 2,
          biases=QKV + ("attn_output", "attn_norm", "ffn_norm", "output_norm", "output"),
          factors=("rope_factors_long", "rope_factors_short"),
          keys=rope(gguf.RopeScalingType.LONGROPE, None, original, attention=1.19))
model("granite-f16", "granite", 25, T.F16, 64, 4, 2, 16, 96, keys=granite)
model("granitemoe-f16", "granitemoe", 26, T.F16, 64, 4, 2, 16, 32, 8, 4, shared=64,
      keys=both(granite, lambda w: w.add_expert_shared_feed_forward_length(64)))
model("gpt-oss-f16", "gpt-oss", 27, T.F16, 64, 4, 2, 32, 64, 8, 3, layers=3, expert_hidden=32,
      biases=QKV + ("attn_output",) + EXPERTS, sinks=True, after="post_attention_norm",
      keys=both(lambda w: w.add_sliding_window(20), rope(YARN, 4.0)))
model("gpt-oss-mxfp4", "gpt-oss", 28, T.Q8_0, 64, 4, 2, 32, 64, 8, 3, layers=3,
      expert_type=T.MXFP4, biases=QKV + ("attn_output",) + EXPERTS, sinks=True,
      after="post_attention_norm",
      keys=both(lambda w: w.add_sliding_window(20), rope(YARN, 4.0)))
model("glm4moe-f16", "glm4moe", 29, T.F16, 64, 4, 2, 32, 96, 8, 2, layers=3, norm="head",
      rotated=16, biases=QKV, dense=1, expert_hidden=32, shared=32, preference=True, nextn=1,
      after="post_attention_norm",
      keys=both(mixture(1, 1, 2, 2.5, True), lambda w: w.add_nextn_predict_layers(1)))
model("deepseek-f16", "deepseek", 31, T.F16, 64, 4, 4, 16, 96, 6, 2, dense=1, expert_hidden=32,
      shared=64, keys=mixture(2, 1, 0, 2.0))
model("dots1-f16", "dots1", 32, T.F16, 64, 4, 4, 16, 96, 6, 2, norm="head", dense=1,
      expert_hidden=32, shared=32, preference=True, keys=mixture(1, 1, 2, 2.5, True))
model("ernie4_5-f16", "ernie4_5", 33, T.F16, 64, 4, 2, 16, 96)
model("ernie4_5-moe-f16", "ernie4_5-moe", 34, T.F16, 64, 4, 2, 16, 96, 6, 2, dense=1,
      expert_hidden=32, shared=64, preference=True,
      keys=both(mixture(2, 1), lambda w: w.add_interleave_moe_layer_step(1),
                lambda w: w.add_expert_shared_feed_forward_length(64)))
model("hunyuan-moe-f16", "hunyuan-moe", 35, T.F16, 64, 4, 2, 16, 32, 6, 2, norm="head", shared=64,
      keys=lambda w: w.add_expert_shared_feed_forward_length(64))
model("minimax-m2-f16", "minimax-m2", 36, T.F16, 64, 4, 2, 32, 32, 6, 2, norm="all", rotated=16,
      preference=True, keys=mixture(gating=2))
model("glm4moe-q4_0", "glm4moe", 30, T.Q4_0, 64, 4, 2, 32, 96, 8, 2, layers=2, rotated=16,
      biases=QKV, dense=1, expert_hidden=32, shared=32, preference=True,
      after="post_attention_norm", keys=mixture(1, 1, 0, 1.0, True))
