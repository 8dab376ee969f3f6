package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.ParameterCount;

/** The fields of released {@code config.json} files against the published numbers of parameters. */
class ReleasedSizesTest {
  @TempDir private Path dir;

  /**
   * Billions as published, in all (to the last parameter where that is known) and active ones, and
   * the fields as released but for those that mean nothing here.
   */
  enum Release {
    MIXTRAL_8X7B(
        "46.702792704",
        "12.9",
        0,
        """
        {"model_type": "mixtral", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
         "num_experts_per_tok": 2, "vocab_size": 32000, "max_position_embeddings": 32768,
         "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null,
         "attention_dropout": 0.0, "output_router_logits": false, "router_aux_loss_coef": 0.02,
         "tie_word_embeddings": false}
        """),
    QWEN1_5_MOE_A2_7B(
        "14.315784192",
        "2.7",
        0,
        """
        {"model_type": "qwen2_moe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "hidden_size": 2048, "intermediate_size": 5632, "moe_intermediate_size": 1408,
         "shared_expert_intermediate_size": 5632, "num_hidden_layers": 24,
         "num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 60,
         "num_experts_per_tok": 4, "norm_topk_prob": false, "decoder_sparse_step": 1,
         "vocab_size": 151936, "max_position_embeddings": 8192, "rms_norm_eps": 1e-06,
         "rope_theta": 1000000.0, "sliding_window": 32768, "max_window_layers": 21,
         "use_sliding_window": false, "tie_word_embeddings": false}
        """),
    QWEN3_30B_A3B(
        "30.532122624",
        "3.3",
        0,
        """
        {"model_type": "qwen3_moe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "head_dim": 128, "hidden_size": 2048,
         "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 48,
         "num_attention_heads": 32, "num_key_value_heads": 4, "num_experts": 128,
         "num_experts_per_tok": 8, "norm_topk_prob": true, "decoder_sparse_step": 1,
         "mlp_only_layers": [], "vocab_size": 151936, "max_position_embeddings": 40960,
         "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0,
         "sliding_window": null, "max_window_layers": 48, "use_sliding_window": false,
         "tie_word_embeddings": false}
        """),
    QWEN3_235B_A22B(
        "235.093634560",
        "22",
        0,
        """
        {"model_type": "qwen3_moe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "head_dim": 128, "hidden_size": 4096,
         "intermediate_size": 12288, "moe_intermediate_size": 1536, "num_hidden_layers": 94,
         "num_attention_heads": 64, "num_key_value_heads": 4, "num_experts": 128,
         "num_experts_per_tok": 8, "norm_topk_prob": true, "decoder_sparse_step": 1,
         "mlp_only_layers": [], "vocab_size": 151936, "max_position_embeddings": 40960,
         "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": false}
        """),
    OLMOE_1B_7B(
        "6.919161856",
        "1.3",
        0,
        """
        {"model_type": "olmoe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "clip_qkv": null, "hidden_size": 2048,
         "intermediate_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 16,
         "num_key_value_heads": 16, "num_experts": 64, "num_experts_per_tok": 8,
         "norm_topk_prob": false, "vocab_size": 50304, "max_position_embeddings": 4096,
         "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0,
         "tie_word_embeddings": false}
        """),
    DEEPSEEK_V2_LITE(
        "15.706484224",
        "2.4",
        1,
        """
        {"model_type": "deepseek_v2", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "aux_loss_alpha": 0.001, "first_k_dense_replace": 1,
         "hidden_size": 2048, "intermediate_size": 10944, "kv_lora_rank": 512,
         "max_position_embeddings": 163840, "moe_intermediate_size": 1408,
         "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 64, "n_shared_experts": 2,
         "norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6,
         "num_hidden_layers": 27, "num_key_value_heads": 16, "q_lora_rank": null,
         "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
         "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707,
           "mscale_all_dim": 0.707, "original_max_position_embeddings": 4096, "type": "yarn"},
         "rope_theta": 10000, "routed_scaling_factor": 1.0, "scoring_func": "softmax",
         "seq_aux": true, "tie_word_embeddings": false, "topk_group": 1,
         "topk_method": "greedy", "v_head_dim": 128, "vocab_size": 102400}
        """),
    DEEPSEEK_V3(
        "671",
        "37",
        0,
        """
        {"model_type": "deepseek_v3", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "ep_size": 1, "first_k_dense_replace": 3,
         "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
         "max_position_embeddings": 163840, "moe_intermediate_size": 2048,
         "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1,
         "norm_topk_prob": true, "num_attention_heads": 128, "num_experts_per_tok": 8,
         "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
         "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
         "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3",
           "quant_method": "fp8", "weight_block_size": [128, 128]},
         "rms_norm_eps": 1e-06,
         "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
           "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
         "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
         "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc",
         "v_head_dim": 128, "vocab_size": 129280}
        """),
    /** Its factors of LongRoPE, 64 each, are ones here. */
    PHI_3_5_MOE(
        "41.873153344",
        "6.6",
        0,
        """
        {"model_type": "phimoe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": true, "hidden_size": 4096, "input_jitter_noise": 0.01,
         "intermediate_size": 6400, "lm_head_bias": true, "max_position_embeddings": 131072,
         "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "num_local_experts": 16,
         "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
         "rope_scaling": {"long_factor": ONES, "long_mscale": 1.243163121016122,
           "original_max_position_embeddings": 4096, "short_factor": ONES,
           "short_mscale": 1.243163121016122, "type": "longrope"},
         "rope_theta": 10000.0, "router_jitter_noise": 0.01, "sliding_window": 131072,
         "tie_word_embeddings": false, "vocab_size": 32064}
        """),
    GPT_OSS_20B(
        "20.91",
        "3.61",
        1,
        """
        {"model_type": "gpt_oss", "hidden_act": "silu", "attention_bias": true,
         "experts_per_token": 4, "head_dim": 64, "hidden_size": 2880,
         "initial_context_length": 4096, "intermediate_size": 2880,
         "layer_types": LAYER_TYPES, "max_position_embeddings": 131072,
         "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24,
         "num_key_value_heads": 8, "num_local_experts": 32,
         "quantization_config": {"modules_to_not_convert": ["model.layers.*.self_attn",
           "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
           "quant_method": "mxfp4"},
         "rms_norm_eps": 1e-05,
         "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
           "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false},
         "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0,
         "tie_word_embeddings": false, "vocab_size": 201088}
        """),
    DBRX(
        "131.596523520",
        "36",
        0,
        """
        {"model_type": "dbrx", "torch_dtype": "bfloat16", "d_model": 6144, "n_heads": 48,
         "n_layers": 40, "max_seq_len": 32768, "vocab_size": 100352,
         "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000},
         "ffn_config": {"ffn_hidden_size": 10752, "moe_jitter_eps": 0.01,
           "moe_loss_weight": 0.05, "moe_num_experts": 16, "moe_top_k": 4},
         "tie_word_embeddings": false}
        """),
    GLM_4_5_AIR(
        "106",
        "12",
        1,
        """
        {"model_type": "glm4_moe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": true, "first_k_dense_replace": 1, "head_dim": 128,
         "hidden_size": 4096, "intermediate_size": 10944, "max_position_embeddings": 131072,
         "moe_intermediate_size": 1408, "n_group": 1, "n_routed_experts": 128,
         "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 96,
         "num_experts_per_tok": 8, "num_hidden_layers": 46, "num_key_value_heads": 8,
         "num_nextn_predict_layers": 1, "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05,
         "rope_scaling": null, "rope_theta": 1000000, "routed_scaling_factor": 1.0,
         "tie_word_embeddings": false, "topk_group": 1, "use_qk_norm": false,
         "vocab_size": 151552}
        """),
    GRANITE_3_0_1B_A400M(
        "1.3",
        "0.4",
        0,
        """
        {"model_type": "granitemoe", "torch_dtype": "bfloat16", "hidden_act": "silu",
         "attention_bias": false, "attention_multiplier": 0.015625,
         "embedding_multiplier": 12.0, "hidden_size": 1024, "intermediate_size": 512,
         "logits_scaling": 6.0, "max_position_embeddings": 4096, "num_attention_heads": 16,
         "num_experts_per_tok": 8, "num_hidden_layers": 24, "num_key_value_heads": 8,
         "num_local_experts": 32, "residual_multiplier": 0.22, "rms_norm_eps": 1e-06,
         "rope_scaling": null, "rope_theta": 10000, "tie_word_embeddings": true,
         "vocab_size": 49155}
        """);

    private final String total;
    private final String active;
    private final int uncounted;
    private final String text;

    /** The embedding counts in {@code active} unless {@code uncounted} is 1. */
    Release(String total, String active, int uncounted, String text) {
      this.total = total;
      this.active = active;
      this.uncounted = uncounted;
      this.text = text;
    }

    String config() {
      List<String> types = List.of("\"sliding_attention\"", "\"full_attention\"");
      String alternating = Collections.nCopies(12, String.join(", ", types)).toString();
      return text.replace("LAYER_TYPES", alternating)
          .replace("ONES", Collections.nCopies(64, 1.0).toString());
    }
  }

  private DecoderConfig read(Release release) throws IOException {
    Files.writeString(dir.resolve("config.json"), release.config());
    ConfigFile file = ConfigFile.read(dir);
    return Families.of(file).config(file);
  }

  @ParameterizedTest
  @EnumSource(Release.class)
  void sizesAreThePublishedOnes(Release release) throws IOException {
    DecoderConfig config = read(release);
    ParameterCount count = config.parameters();
    published(count.total(), release.total);
    long embedding = (long) config.vocab() * config.hidden();
    published(count.active() - release.uncounted * embedding, release.active);
  }

  /** Some publishers round and some cut: within one unit of the last digit. */
  private static void published(long count, String billions) {
    BigDecimal wanted = new BigDecimal(billions);
    BigDecimal off = BigDecimal.valueOf(count, 9).subtract(wanted).abs();
    BigDecimal unit = wanted.scale() == 9 ? BigDecimal.ZERO : wanted.ulp();
    assertThat(off).as("%s against %s billion", count, billions).isLessThanOrEqualTo(unit);
  }
}
