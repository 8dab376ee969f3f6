package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** Qwen3-MoE: norms on the queries and keys of each head, no shared expert. */
final class Qwen3MoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "qwen3_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        attention(f, 1e4).withQkNorm(GroupedQueryConfig.QkNorm.PER_HEAD).withBiases(bias, bias);
    MoeConfig moe = moe(f, "moe_intermediate_size").gating(softmax(f)).build();
    int layers = f.positive("num_hidden_layers");
    boolean slides = f.flagOr(false, "use_sliding_window");
    return decoder(f, attention, stepped(f, moe))
        .windows(slides ? windows(f, layers, true) : List.of())
        .build();
  }
}
