package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.NormKind;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code config.json} of OLMoE and Mixtral. Read are the spellings of transformers 4 ({@code
 * rope_theta}, {@code rope_scaling}) and 5 ({@code rope_parameters}); written are both. What only
 * training uses (balance losses, dropout, how weights start) is not in these files.
 */
final class LlamaConfigs {
  private LlamaConfigs() {}

  /** The decoder that a file of one of the two families describes. */
  static DecoderConfig read(ConfigFile file, HfLayout family) {
    boolean olmoe = family == HfLayout.OLMOE;
    file.refuseUnless("hidden_act", "silu");
    file.refuseUnless("attention_bias", "false");
    file.refuseUnless("clip_qkv", "none");
    file.refuseUnless("rope_scaling/rope_type", "default");
    file.refuseUnless("rope_scaling/type", "default");
    file.refuseUnless("rope_parameters/rope_type", "default");
    int hidden = file.positive("hidden_size");
    int positions = file.positiveOr(olmoe ? 4096 : 131_072, "max_position_embeddings");
    if (file.has("sliding_window") && file.positive("sliding_window") < positions) {
      file.refuseUnless("sliding_window", "none");
    }
    int layers = file.positive("num_hidden_layers");
    MoeConfig moe = file.checked(() -> moe(file, hidden, olmoe));
    return file.checked(
        () ->
            new DecoderConfig(
                file.positive("vocab_size"),
                hidden,
                attention(file, hidden, olmoe),
                NormKind.RMS,
                file.numberOr(1e-5, "rms_norm_eps"),
                positions,
                file.flagOr(false, "tie_word_embeddings"),
                file.numberOr(0.02, "initializer_range"),
                FeedForwardConfig.every(layers, new FeedForwardConfig.Moe(moe))));
  }

  private static AttentionConfig attention(ConfigFile file, int hidden, boolean olmoe) {
    int heads = file.positive("num_attention_heads");
    int kvHeads = file.positiveOr(heads, "num_key_value_heads");
    if (!file.has("head_dim") && hidden % heads != 0) {
      throw file.failure("num_attention_heads " + heads + ": must divide hidden_size " + hidden);
    }
    return new AttentionConfig(
        heads,
        kvHeads,
        file.positiveOr(Math.max(1, hidden / heads), "head_dim"),
        file.numberOr(olmoe ? 1e4 : 1e6, "rope_theta", "rope_parameters/rope_theta"),
        olmoe ? AttentionConfig.QkNorm.WHOLE : AttentionConfig.QkNorm.NONE);
  }

  private static MoeConfig moe(ConfigFile file, int hidden, boolean olmoe) {
    boolean renormalise = !olmoe || file.flagOr(false, "norm_topk_prob");
    return MoeConfig.builder(
            hidden,
            file.positive("intermediate_size"),
            file.positive("num_experts", "num_local_experts"),
            file.positive("num_experts_per_tok"))
        .gating(renormalise ? Gating.MIXTRAL : Gating.SOFTMAX_TOP_K)
        .build();
  }

  /** Fills {@code root} with what the family's file says of {@code c}. */
  static void write(ObjectNode root, DecoderConfig c, HfLayout family) {
    boolean olmoe = family == HfLayout.OLMOE;
    MoeConfig moe = c.feedForward().getFirst().sparse().orElseThrow();
    AttentionConfig a = c.attention();
    root.putArray("architectures").add(olmoe ? "OlmoeForCausalLM" : "MixtralForCausalLM");
    root.put("attention_dropout", 0.0);
    root.put("hidden_act", "silu");
    root.put("hidden_size", c.hidden());
    root.put("initializer_range", c.initStd());
    root.put("intermediate_size", moe.expertWidth());
    root.put("max_position_embeddings", c.maxPositions());
    root.put("num_attention_heads", a.heads());
    root.put("num_key_value_heads", a.kvHeads());
    root.put("head_dim", a.headDim());
    root.put("num_hidden_layers", c.layers());
    root.put("num_experts_per_tok", moe.topK());
    root.put("rms_norm_eps", c.normEps());
    root.put("rope_theta", a.ropeTheta());
    root.putObject("rope_parameters").put("rope_type", "default").put("rope_theta", a.ropeTheta());
    root.put("tie_word_embeddings", c.tiedEmbeddings());
    root.put("vocab_size", c.vocab());
    if (olmoe) {
      root.put("attention_bias", false);
      root.putNull("clip_qkv");
      root.put("num_experts", moe.experts());
      root.put("norm_topk_prob", moe.gating().orElseThrow().equals(Gating.MIXTRAL));
    } else {
      root.put("num_local_experts", moe.experts());
      root.put("router_jitter_noise", 0.0);
      root.putNull("sliding_window");
    }
  }
}
