package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.Renormalise;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;

/** ERNIE 4.5: softmax routing with a bias for the selection, neighbouring channels rotated. */
final class ErnieMoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "ernie4_5_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "use_bias");
    GroupedQueryConfig plain = attention(f, 5e5);
    GroupedQueryConfig attention =
        plain.withRope(plain.rope().withInterleaved(true)).withBiases(bias, bias);
    double least = f.numberOr(1e-12, "moe_norm_min");
    Renormalise renormalise =
        new Renormalise(Renormalise.When.BEFORE_DROP, Renormalise.Guard.MAX, least);
    MoeConfig moe =
        f.checked(
            () ->
                moe(f, "moe_intermediate_size")
                    .gating(Gating.ERNIE.with(renormalise))
                    .sharedExperts(f.naturalOr(2, "moe_num_shared_experts"))
                    .sharedForm(FORM.withBiases(bias))
                    .build());
    return decoder(f, attention, placed(f, moe, bias))
        .normEps(f.numberOr(1e-5, "rms_norm_eps"))
        .tiedEmbeddings(f.flagOr(true, "tie_word_embeddings"))
        .headBias(bias)
        .build();
  }

  /** Sparse from the start to the end index at every interval. */
  private static List<FeedForwardConfig> placed(ConfigFile f, MoeConfig moe, boolean bias) {
    int layers = f.positive("num_hidden_layers");
    int start = f.naturalOr(1, "moe_layer_start_index");
    double end = f.numberOr(-1, "moe_layer_end_index");
    int interval = f.positiveOr(1, "moe_layer_interval");
    List<FeedForwardConfig> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      boolean sparse = (i + 1) % interval == 0 && i >= start && (end < 0 || i <= end);
      all.add(
          sparse
              ? new FeedForwardConfig.Moe(moe)
              : new FeedForwardConfig.Dense(
                  FORM.withBiases(bias), f.positive("intermediate_size")));
    }
    return all;
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.weight", gate);
    Names.selectionBias(moe)
        .ifPresent(
            b -> map.part(at + "mlp.moe_statics.e_score_correction_bias", b, w -> w.unsqueeze(0)));
    Names.experts(map, at + "mlp.", moe, layout);
    moe.shared().ifPresent(s -> Names.network(map, at + "mlp.shared_experts.", s.network()));
  }

  /** {@code mtp_} tensors predict further tokens in training. */
  @Override
  public boolean ignores(String name, DecoderConfig config) {
    return super.ignores(name, config) || name.startsWith("model.mtp_");
  }
}
