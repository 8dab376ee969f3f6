package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;

/** Qwen2-MoE: a shared expert behind a gate of its own, biases on queries, keys and values. */
final class Qwen2MoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "qwen2_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    MoeConfig moe =
        moe(f, "moe_intermediate_size")
            .gating(softmax(f))
            .sharedWidth(f.positive("shared_expert_intermediate_size"))
            .sharedGate(true)
            .build();
    int layers = f.positive("num_hidden_layers");
    return decoder(
            f, attention(f, 1e4).withBiases(f.flagOr(true, "qkv_bias"), false), stepped(f, moe))
        .windows(windows(f, layers))
        .build();
  }

  /** Without {@code layer_types}, even layers below {@code max_window_layers} slide. */
  private List<Integer> windows(ConfigFile f, int layers) {
    if (!f.flagOr(false, "use_sliding_window")) {
      return List.of();
    }
    if (f.has("layer_types")) {
      return windows(f, layers, false);
    }
    int window = f.positiveOr(4096, "sliding_window");
    int most = f.naturalOr(28, "max_window_layers");
    List<Integer> windows = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      windows.add(i % 2 == 0 && i < most ? window : 0);
    }
    return windows;
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.weight", gate);
    Names.experts(map, at + "mlp.", moe, layout);
    moe.shared()
        .ifPresent(
            shared -> {
              Names.network(map, at + "mlp.shared_expert.", shared.network());
              shared.gate().ifPresent(g -> map.whole(at + "mlp.shared_expert_gate.weight", g));
            });
  }
}
