"""Families with a Llama block: mixtral, olmoe, flex_olmo, qwen2_moe, qwen3_moe, aria, dbrx."""
import torch

from .spec import Spec

BASE = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)


def rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta} | more


def clips(limit, projections):
    """The clamp of queries, keys and values is reached in `projections`."""
    def check(model, rows):
        seen = []
        hooks = [m.register_forward_hook(lambda m, a, out: seen.append(out.abs().max().item()))
                 for n, m in model.named_modules() if n.endswith(projections)]
        with torch.no_grad():
            model(rows[0])
        for hook in hooks:
            hook.remove()
        return None if min(seen) > limit else f"clamp {limit} not reached: {min(seen)}"
    return check


MIXTRAL = BASE | dict(intermediate_size=12, num_key_value_heads=2, num_local_experts=6,
                      num_experts_per_tok=2, rms_norm_eps=1e-5)
OLMOE = BASE | dict(intermediate_size=12, num_key_value_heads=4, num_experts=6,
                    num_experts_per_tok=3)
FLEX = BASE | dict(intermediate_size=10, num_experts=7, num_experts_per_tok=5)
QWEN2 = BASE | dict(intermediate_size=20, moe_intermediate_size=12, num_key_value_heads=2,
                    shared_expert_intermediate_size=20, num_experts=6, num_experts_per_tok=3)
QWEN3 = BASE | dict(intermediate_size=20, moe_intermediate_size=12, num_key_value_heads=2,
                    head_dim=12, num_experts=6, num_experts_per_tok=3)
ARIA = BASE | dict(intermediate_size=10, num_key_value_heads=2, moe_num_experts=6, moe_topk=2,
                   moe_num_shared_experts=2)
DBRX = dict(vocab_size=64, d_model=32, n_heads=4, n_layers=2, max_seq_len=128, bos_token_id=1,
            eos_token_id=2, pad_token_id=0)

SPECS = [
    Spec("mixtral-base", "mixtral", MIXTRAL | dict(rope_parameters=rope(1e6)), "softmax",
         style="4x"),
    Spec("mixtral-window", "mixtral", MIXTRAL | dict(
        sliding_window=7, head_dim=10, num_experts_per_tok=3, num_hidden_layers=3,
        tie_word_embeddings=True, rope_parameters=rope(1e4)), "softmax",
        scale={"embed_tokens": 0.25}, lengths=(17, 40)),
    Spec("mixtral-dynamic", "mixtral", MIXTRAL | dict(
        max_position_embeddings=20, head_dim=8, num_local_experts=4, num_experts_per_tok=1,
        rope_parameters=rope(1e4, rope_type="dynamic", factor=4.0)), "softmax",
        lengths=(17, 28), batch_is_single=False, safe=1.2e-3),
    Spec("mixtral-fused", "mixtral", MIXTRAL | dict(rope_parameters=rope(1e6)), "softmax",
         fused=True, same_as="mixtral-base"),

    Spec("olmoe-base", "olmoe", OLMOE | dict(
        norm_topk_prob=False, rope_parameters=rope(1e4)), "softmax", style="4x"),
    Spec("olmoe-clip", "olmoe", OLMOE | dict(
        norm_topk_prob=True, clip_qkv=0.75, num_key_value_heads=2, attention_bias=True,
        rope_parameters=rope(5e3, rope_type="linear", factor=2.5)), "softmax", dtype="float16",
        lengths=(19, 64), require=clips(0.75, ("q_norm", "k_norm", "v_proj"))),

    Spec("flex_olmo-base", "flex_olmo", FLEX | dict(
        norm_topk_prob=False, num_key_value_heads=4, rope_parameters=rope(5e5)), "softmax",
        style="4x", safe=1.2e-3),
    Spec("flex_olmo-norm", "flex_olmo", FLEX | dict(
        norm_topk_prob=True, num_key_value_heads=2, num_experts_per_tok=2, attention_bias=True,
        rope_parameters=rope(1e4, rope_type="linear", factor=4.0)), "softmax", lengths=(18, 29)),

    Spec("qwen2_moe-base", "qwen2_moe", QWEN2 | dict(
        norm_topk_prob=False, decoder_sparse_step=2, rope_parameters=rope(1e6)), "softmax",
        style="4x", drop_config=("layer_types", "qkv_bias"),
        extra_config=dict(sliding_window=8, max_window_layers=1, use_sliding_window=False)),
    Spec("qwen2_moe-window", "qwen2_moe", QWEN2 | dict(
        norm_topk_prob=True, qkv_bias=False, mlp_only_layers=[1], num_hidden_layers=3,
        use_sliding_window=True, sliding_window=6, max_window_layers=2,
        rope_parameters=rope(1e4, rope_type="yarn", factor=4.0,
                             original_max_position_embeddings=12)), "softmax",
        lengths=(21, 39)),

    Spec("qwen3_moe-base", "qwen3_moe", QWEN3 | dict(
        norm_topk_prob=True, num_hidden_layers=3, mlp_only_layers=[1],
        rope_parameters=rope(1e6)), "softmax", style="4x"),
    Spec("qwen3_moe-yarn", "qwen3_moe", QWEN3 | dict(
        norm_topk_prob=False, decoder_sparse_step=2, attention_bias=True,
        tie_word_embeddings=True, head_dim=16,
        rope_parameters=rope(1e4, rope_type="yarn", factor=4.0, beta_fast=8.0, beta_slow=1.0,
                             original_max_position_embeddings=16)), "softmax",
        scale={"embed_tokens": 0.25}, lengths=(17, 48)),
    Spec("qwen3_moe-fused", "qwen3_moe", QWEN3 | dict(
        norm_topk_prob=True, num_hidden_layers=3, mlp_only_layers=[1],
        rope_parameters=rope(1e6)), "softmax", fused=True, same_as="qwen3_moe-base"),

    Spec("aria-multimodal", "aria", dict(
        text_config=ARIA | dict(model_type="aria_text", rope_parameters=rope(5e6)),
        vision_config=dict(model_type="idefics3_vision", hidden_size=8, intermediate_size=8,
                           num_hidden_layers=1, num_attention_heads=2, image_size=4,
                           patch_size=2),
        projector_patch_to_query_dict={4: 2}, image_token_index=3), "logit", style="4x"),
    Spec("aria_text-base", "aria_text", ARIA | dict(
        moe_topk=3, attention_bias=True, num_key_value_heads=4, moe_num_shared_experts=1,
        mlp_bias=True, rope_parameters=rope(1e4)), "logit", lengths=(18, 35)),

    Spec("dbrx-base", "dbrx", DBRX | dict(
        attn_config=dict(clip_qkv=1.5, kv_n_heads=2, rope_theta=500000),
        ffn_config=dict(ffn_hidden_size=12, moe_num_experts=6, moe_top_k=2,
                        moe_normalize_expert_weights=1.0),
        rope_parameters=rope(5e5)), "top2", require=clips(1.5, ("Wqkv",))),
    Spec("dbrx-p2", "dbrx", DBRX | dict(
        attn_config=dict(clip_qkv=8.0, kv_n_heads=4, rope_theta=10000),
        ffn_config=dict(ffn_hidden_size=10, moe_num_experts=6, moe_top_k=2,
                        moe_normalize_expert_weights=2.0),
        rope_parameters=rope(1e4)), "top2", style="4x", lengths=(17, 30),
        drop_config=("rope_theta", "rope_scaling")),
]
