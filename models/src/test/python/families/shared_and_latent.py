"""Shared experts, MLA, multipliers: deepseek, glm4, granite, jetmoe, ernie, hunyuan."""
import torch

from .llama_like import BASE, rope
from .spec import Spec


def next_token_layer(layer):
    """A layer for multi-token prediction behind the last one; the decoder skips it."""
    def add(tensors, model):
        d = model.config.hidden_size
        names = [n for n in tensors if n.startswith(f"model.layers.{layer - 1}.")]
        extra = {n.replace(f".{layer - 1}.", f".{layer}.", 1): tensors[n].clone() for n in names}
        half = tensors["model.norm.weight"].dtype
        for name, shape in [("enorm.weight", (d,)), ("hnorm.weight", (d,)),
                            ("eh_proj.weight", (d, 2 * d)), ("shared_head.norm.weight", (d,))]:
            extra[f"model.layers.{layer}.{name}"] = torch.full(shape, 0.5, dtype=half)
        return tensors | extra
    return add


def ernie_next_token(tensors, model):
    d, half = model.config.hidden_size, tensors["model.norm.weight"].dtype
    return tensors | {
        f"model.{n}.weight": torch.full(s, 0.5, dtype=half) for n, s in [
            ("mtp_emb_norm.0", (d,)), ("mtp_hidden_norm.0", (d,)),
            ("mtp_linear_proj.0", (d, 2 * d)), ("mtp_block.0.input_layernorm", (d,))]}


def bias_decides(model, rows):
    """e_score_correction_bias changes a selection."""
    seen = []
    gates = [m for n, m in model.named_modules() if type(m).__name__.endswith("TopkRouter")]
    hooks = [g.register_forward_hook(lambda m, a, out: seen.append(differs(m, out)))
             for g in gates]
    with torch.no_grad():
        model(rows[0])
    for hook in hooks:
        hook.remove()
    return None if any(seen) else "router bias never decides"


def differs(gate, out):
    plain = out[0].sigmoid().topk(gate.top_k, dim=-1).indices.sort(-1).values
    return not torch.equal(plain, out[2].sort(-1).values)


YARN = rope(1e4, rope_type="yarn", factor=8.0, beta_fast=32, beta_slow=1, mscale=0.707,
            mscale_all_dim=0.707, original_max_position_embeddings=12)
MLA = BASE | dict(num_attention_heads=2, num_key_value_heads=2, intermediate_size=20,
                  moe_intermediate_size=10, kv_lora_rank=12, qk_nope_head_dim=10,
                  qk_rope_head_dim=8, v_head_dim=14, first_k_dense_replace=1)
GLM = BASE | dict(intermediate_size=20, moe_intermediate_size=10, num_key_value_heads=2,
                  head_dim=12, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=1,
                  attention_bias=True, first_k_dense_replace=1)
GRANITE = BASE | dict(intermediate_size=10, num_key_value_heads=2, num_local_experts=6,
                      num_experts_per_tok=3, embedding_multiplier=12.0,
                      attention_multiplier=0.15, residual_multiplier=0.22,
                      logits_scaling=0.2, tie_word_embeddings=True, rope_parameters=rope(1e4))
GRANITE_SCALE = {"embed_tokens": 0.04, "o_proj|down_proj|output_linear": 2.5}
JETMOE = BASE | dict(intermediate_size=10, num_key_value_heads=2, kv_channels=8,
                     num_local_experts=5, num_experts_per_tok=2, rope_parameters=rope(1e4))
JETMOE.pop("num_attention_heads")
ERNIE = BASE | dict(intermediate_size=20, moe_intermediate_size=10, num_key_value_heads=2,
                    moe_num_experts=6, moe_k=2, rope_parameters=rope(5e5))
HUNYUAN = BASE | dict(intermediate_size=12, num_key_value_heads=2, head_dim=12, num_experts=5)
DEEPSEEK_KEYS = dict(ep_size=1, moe_layer_freq=1, aux_loss_alpha=0.001, seq_aux=True)

SPECS = [
    Spec("deepseek_v2-lite", "deepseek_v2", MLA | dict(
        q_lora_rank=None, n_routed_experts=6, num_experts_per_tok=3, n_shared_experts=2,
        topk_method="greedy", routed_scaling_factor=1.0, rope_parameters=YARN), "softmax",
        style="4x", lengths=(17, 45),
        extra_config=DEEPSEEK_KEYS | dict(scoring_func="softmax", n_group=1, topk_group=1)),
    Spec("deepseek_v2-group", "deepseek_v2", MLA | dict(
        q_lora_rank=10, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
        topk_method="group_limited_greedy", n_group=4, topk_group=2, routed_scaling_factor=4.0,
        attention_bias=True, rope_parameters=rope(1e4)), "softmax_group", lengths=(18, 31)),

    Spec("deepseek_v3-base", "deepseek_v3", MLA | dict(
        q_lora_rank=10, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
        n_group=4, topk_group=2, norm_topk_prob=True, routed_scaling_factor=2.5,
        num_nextn_predict_layers=1,
        rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0)), "sigmoid_bias",
        style="4x", lengths=(17, 45), layout=next_token_layer(2), require=bias_decides,
        extra_config=DEEPSEEK_KEYS | dict(scoring_func="sigmoid", topk_method="noaux_tc")),
    Spec("deepseek_v3-plain", "deepseek_v3", MLA | dict(
        q_lora_rank=None, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=2,
        n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.0,
        first_k_dense_replace=0, rope_interleave=False, attention_bias=True,
        rope_parameters=rope(1e4)), "sigmoid_bias", lengths=(19, 28), require=bias_decides),

    Spec("glm4_moe-base", "glm4_moe", GLM | dict(
        use_qk_norm=True, norm_topk_prob=True, routed_scaling_factor=2.5,
        num_nextn_predict_layers=1,
        rope_parameters=rope(1e6, partial_rotary_factor=0.5)), "sigmoid_bias", style="4x",
        layout=next_token_layer(2), require=bias_decides),
    Spec("glm4_moe-air", "glm4_moe", GLM | dict(
        use_qk_norm=False, norm_topk_prob=True, routed_scaling_factor=1.0, n_routed_experts=8,
        n_group=2, topk_group=1, num_hidden_layers=3, first_k_dense_replace=2,
        rope_parameters=rope(1e4, partial_rotary_factor=0.34)), "sigmoid_bias",
        lengths=(21, 30), require=bias_decides),

    Spec("granitemoe-base", "granitemoe", GRANITE, "logit", style="4x", scale=GRANITE_SCALE),
    Spec("granitemoe-untied", "granitemoe", GRANITE | dict(
        tie_word_embeddings=False, attention_bias=True, num_experts_per_tok=2,
        embedding_multiplier=1.7, residual_multiplier=0.6, attention_multiplier=0.4,
        logits_scaling=0.8, rope_parameters=rope(1e4, rope_type="linear", factor=3.0)), "logit",
        lengths=(18, 30)),
    Spec("granitemoe-fused", "granitemoe", GRANITE, "logit", fused=True,
         same_as="granitemoe-base", scale=GRANITE_SCALE),
    Spec("granitemoeshared-base", "granitemoeshared", GRANITE | dict(
        shared_intermediate_size=14), "logit", style="4x", scale=GRANITE_SCALE),
    Spec("granitemoeshared-untied", "granitemoeshared", GRANITE | dict(
        shared_intermediate_size=9, tie_word_embeddings=False, num_experts_per_tok=1,
        attention_bias=True, logits_scaling=1.0, residual_multiplier=0.7), "logit",
        lengths=(18, 36)),

    Spec("jetmoe-base", "jetmoe", JETMOE | dict(tie_word_embeddings=True), "logit", style="4x",
         scale={"embed_tokens": 0.25}),
    Spec("jetmoe-eps", "jetmoe", JETMOE | dict(
        tie_word_embeddings=False, num_experts_per_tok=3, num_key_value_heads=3, kv_channels=6,
        rms_norm_eps=0.05), "logit", lengths=(18, 29)),

    Spec("ernie4_5_moe-base", "ernie4_5_moe", ERNIE | dict(
        tie_word_embeddings=True, moe_num_shared_experts=2, moe_layer_start_index=1),
        "softmax_bias", style="4x", keep32=r"e_score_correction_bias|mlp\.gate\.weight",
        scale={"embed_tokens": 0.25}, layout=ernie_next_token,
        extra_config=dict(moe_layer_end_index=-1, num_nextn_predict_layers=1)),
    Spec("ernie4_5_moe-interval", "ernie4_5_moe", ERNIE | dict(
        tie_word_embeddings=False, moe_num_shared_experts=0, num_hidden_layers=5,
        moe_layer_start_index=1, moe_layer_end_index=3, moe_layer_interval=2, use_bias=True,
        moe_num_experts=5, moe_k=3), "softmax_bias", lengths=(18, 30),
        keep32=r"e_score_correction_bias|mlp\.gate\.weight"),

    Spec("hunyuan_v1_moe-alpha", "hunyuan_v1_moe", HUNYUAN | dict(
        moe_topk=2, tie_word_embeddings=True,
        rope_parameters=dict(rope_theta=1e4, rope_type="dynamic", alpha=50.0, factor=1.0,
                             beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0)),
        "softmax", style="4x", scale={"embed_tokens": 0.25},
        extra_config=dict(use_qk_norm=True, num_shared_expert=1, use_mixed_mlp_moe=True)),
    Spec("hunyuan_v1_moe-list", "hunyuan_v1_moe", HUNYUAN | dict(
        moe_topk=[1, 3], attention_bias=True, rope_parameters=rope(1e4)), "softmax",
        lengths=(18, 30)),
]
