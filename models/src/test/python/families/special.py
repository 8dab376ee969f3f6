"""Families with a layout or behaviour of their own: phimoe, gpt_oss, FP8 blocks."""
import torch
from transformers import Mxfp4Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from .llama_like import BASE, rope
from .shared_and_latent import bias_decides
from .spec import Spec

PHIMOE = BASE | dict(intermediate_size=12, num_key_value_heads=2, num_local_experts=6,
                     num_experts_per_tok=2, attention_bias=True, lm_head_bias=True)
SHORT = [1.0, 1.1, 1.3, 1.6]
LONG = [1.5, 2.5, 4.0, 8.0]


def longrope(original, short, long, short_mscale, long_mscale):
    return rope(1e4, rope_type="longrope", original_max_position_embeddings=original,
                short_factor=short, long_factor=long, short_mscale=short_mscale,
                long_mscale=long_mscale)


def long_factor(model):
    """Phimoe of transformers 5.18 always takes short_factor; this takes the one meant."""
    rotary = model.model.rotary_emb
    compute = ROPE_INIT_FUNCTIONS["longrope"]
    forward = rotary.forward

    def switching(x, position_ids=None):
        length = int(position_ids.max()) + 1
        rotary.rope_init_fn = lambda config: compute(config, seq_len=length)
        return forward(x, position_ids=position_ids)
    rotary.forward = switching


def second_expert_kept(model, rows):
    """Some rows have a second expert inside the threshold of sparsemixer, some have not."""
    weights = []
    hooks = [m.register_forward_hook(lambda m, a, out: weights.append(out[1]))
             for m in model.modules() if type(m).__name__ == "PhimoeTopKRouter"]
    with torch.no_grad():
        model(rows[0])
    for hook in hooks:
        hook.remove()
    w = torch.cat(weights)
    good = (w[:, 0] < 0.99).any() and (w[:, 1] < 0.99).any() and (w > 0.99).any()
    return None if good else "sparsemixer never shares"


GPT_OSS = dict(vocab_size=64, hidden_size=32, intermediate_size=16, num_hidden_layers=2,
               num_attention_heads=4, num_key_value_heads=2, head_dim=12, num_local_experts=4,
               num_experts_per_tok=2, sliding_window=6, max_position_embeddings=128,
               bos_token_id=1, eos_token_id=2, pad_token_id=0,
               rope_parameters=rope(150000.0, rope_type="yarn", factor=8.0, beta_fast=32.0,
                                    beta_slow=1.0, truncate=False,
                                    original_max_position_embeddings=16))


def swiglu_clamps(model, rows):
    """Gate above 7 and up beyond +-7 occur."""
    experts = [m for m in model.modules() if type(m).__name__ == "GptOssExperts"]
    seen = []
    for m in experts:
        m._apply_gate = lambda x, m=m: (seen.append(x), type(m)._apply_gate(m, x))[1]
    with torch.no_grad():
        model(rows[0])
    for m in experts:
        del m._apply_gate
    x = torch.cat(seen)
    gate, up = x[:, ::2], x[:, 1::2]
    good = gate.max() > 7 and up.max() > 7 and up.min() < -7
    return None if good else f"no clamp: {gate.max()} {up.max()} {up.min()}"


CODES = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])


def to_mxfp4(tensors, model):
    """Experts as 4-bit codes, two a byte, low nibble first, 32 to a scale."""
    out = {}
    for name, value in tensors.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            rows = value.float().transpose(1, 2).contiguous()
            codes, scales = mxfp4(rows)
            out[name + "_blocks"] = codes[..., 0::2] | codes[..., 1::2] << 4
            out[name + "_scales"] = scales
        else:
            out[name] = value
    return out


def mxfp4(rows):
    """Codes [E, rows, blocks, 32] and scale bytes [E, rows, blocks] nearest to `rows`."""
    x = rows.unflatten(-1, (-1, 32))
    scales = (x.abs().amax(-1).log2().floor() - 2).clamp(-20, 20)
    scaled = x / scales.exp2().unsqueeze(-1)
    codes = (scaled.unsqueeze(-1) - CODES).abs().argmin(-1)
    return codes.to(torch.uint8), (scales + 127).to(torch.uint8)


def mxfp4_exact(model):
    """Rounds the experts to what to_mxfp4 stores."""
    for name, p in model.named_parameters():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            codes, scales = mxfp4(p.data.transpose(1, 2).contiguous())
            value = CODES[codes.long()] * (scales.float() - 127).exp2().unsqueeze(-1)
            p.data = value.flatten(-2).transpose(1, 2).contiguous()


BLOCK = 128
UNQUANTISED = ("embed_tokens", "lm_head", "norm", "mlp.gate.")


def fp8_blocks(w):
    """(E4M3 codes, fp32 scale of every 128x128 block, what they stand for)"""
    rows, cols = w.shape
    scale = torch.empty(-(-rows // BLOCK), -(-cols // BLOCK))
    codes = torch.empty(w.shape, dtype=torch.float8_e4m3fn)
    back = torch.empty_like(w)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            at = (slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK))
            scale[i, j] = w[at].abs().max() / 448
            codes[at] = (w[at] / scale[i, j]).to(torch.float8_e4m3fn)
            back[at] = codes[at].float() * scale[i, j]
    return codes, scale, back


def fp8_exact(model):
    """Rounds what to_fp8 stores to values that it can store."""
    for name, p in model.named_parameters():
        if name.endswith("experts.gate_up_proj"):
            p.data = torch.stack([
                torch.cat([fp8_blocks(half)[2] for half in e.chunk(2)]) for e in p.data])
        elif name.endswith("experts.down_proj"):
            p.data = torch.stack([fp8_blocks(e)[2] for e in p.data])
        elif fp8_name(name):
            p.data = fp8_blocks(p.data)[2]


def from_fp8(tensors):
    """Plain F32 tensors, every 128x128 block times its scale, by a loop."""
    out = {}
    for name, value in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        out[name] = value.float()
        for (i, j), s in grid(tensors.get(name + "_scale_inv")):
            out[name][i * BLOCK:(i + 1) * BLOCK, j * BLOCK:(j + 1) * BLOCK] *= s
    return out


def grid(scale):
    if scale is None:
        return []
    return [((i, j), scale[i, j]) for i in range(scale.shape[0]) for j in range(scale.shape[1])]


def from_mxfp4(tensors):
    """Plain F32 tensors in the layout of the bf16 files."""
    out = {}
    for name, value in tensors.items():
        if name.endswith("_blocks"):
            codes = torch.stack([value & 15, value >> 4], dim=-1).flatten(-2)
            scale = tensors[name.replace("_blocks", "_scales")].float() - 127
            rows = (CODES[codes.long()] * scale.exp2().unsqueeze(-1)).flatten(-2)
            out[name.removesuffix("_blocks")] = rows.transpose(1, 2).contiguous()
        elif not name.endswith("_scales"):
            out[name] = value.float()
    return out


def fp8_name(name):
    return name.endswith(".weight") and not any(part in name for part in UNQUANTISED)


def to_fp8(tensors, model):
    out = {}
    for name, value in tensors.items():
        if fp8_name(name):
            out[name], out[name + "_scale_inv"], _ = fp8_blocks(value.float())
        else:
            out[name] = value
    return out


FP8 = BASE | dict(
    vocab_size=48, hidden_size=160, num_attention_heads=2, num_key_value_heads=2,
    intermediate_size=24, moe_intermediate_size=12, q_lora_rank=16, kv_lora_rank=130,
    qk_nope_head_dim=8, qk_rope_head_dim=6, v_head_dim=10, first_k_dense_replace=1,
    n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, n_group=2, topk_group=1,
    routed_scaling_factor=2.5, rope_parameters=rope(1e4))
FP8_CONFIG = dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic",
                  weight_block_size=[BLOCK, BLOCK])
MXFP4_CONFIG = dict(quant_method="mxfp4", modules_to_not_convert=[
    "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])

SPECS = [
    Spec("phimoe-short", "phimoe", PHIMOE | dict(
        router_jitter_noise=0.05, rope_parameters=longrope(64, SHORT, LONG, 1.2, 1.3)),
        "sparsemixer", style="4x", extra_config=dict(original_max_position_embeddings=64),
        require=second_expert_kept),
    Spec("phimoe-long", "phimoe", PHIMOE | dict(
        router_jitter_noise=0.05, rope_parameters=longrope(16, SHORT, LONG, 1.1, 1.3)),
        "sparsemixer", style="4x", extra_config=dict(original_max_position_embeddings=16),
        lengths=(17, 40), patch=long_factor, require=second_expert_kept),
    Spec("phimoe-plain", "phimoe", PHIMOE | dict(
        attention_bias=False, lm_head_bias=False, sliding_window=7, router_jitter_noise=0.01,
        rope_parameters=rope(1e6)), "sparsemixer", lengths=(18, 30)),

    Spec("gpt_oss-bf16", "gpt_oss", GPT_OSS, "logit", scale={"experts.gate_up_proj$": 2.0},
         lengths=(17, 40), require=swiglu_clamps),
    Spec("gpt_oss-mxfp4", "gpt_oss", GPT_OSS | dict(
        hidden_size=64, intermediate_size=32, head_dim=16),
        "logit", style="4x", scale={"experts.gate_up_proj$": 2.0}, lengths=(17, 40),
        exact=mxfp4_exact, layout=to_mxfp4, plain=from_mxfp4, require=swiglu_clamps,
        load=dict(quantization_config=Mxfp4Config(dequantize=True)),
        extra_config=dict(experts_per_token=2, initial_context_length=16, swiglu_limit=7.0,
                          quantization_config=MXFP4_CONFIG)),

    Spec("deepseek_v3-fp8", "deepseek_v3", FP8, "sigmoid_bias", style="4x", lengths=(17, 29),
         exact=fp8_exact, layout=to_fp8, plain=from_fp8, require=bias_decides,
         extra_config=dict(scoring_func="sigmoid", topk_method="noaux_tc", moe_layer_freq=1,
                           quantization_config=FP8_CONFIG)),
]
