package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes {@code config.json} of OLMoE and Mixtral, in the spellings of transformers 4 and 5 at
 * once. What only training uses (balance losses, dropout, how weights start) is not in these files.
 */
final class LlamaConfigWriter {
  private LlamaConfigWriter() {}

  /** Fills {@code root} with what the family's file says of {@code c}. */
  static void write(ObjectNode root, DecoderConfig c, boolean olmoe) {
    MoeConfig moe = c.feedForward().getFirst().sparse().orElseThrow();
    GroupedQueryConfig a = (GroupedQueryConfig) c.attention();
    double theta = a.rope().theta();
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
    root.put("rope_theta", theta);
    root.putObject("rope_parameters").put("rope_type", "default").put("rope_theta", theta);
    root.put("tie_word_embeddings", c.tiedEmbeddings());
    root.put("vocab_size", c.vocab());
    if (olmoe) {
      root.put("attention_bias", false);
      root.putNull("clip_qkv");
      root.put("num_experts", moe.experts());
      root.put(
          "norm_topk_prob",
          moe.gating().orElseThrow().renormalise().equals(Gating.MIXTRAL.renormalise()));
    } else {
      root.put("num_local_experts", moe.experts());
      root.put("router_jitter_noise", 0.0);
      root.putNull("sliding_window");
    }
  }
}
