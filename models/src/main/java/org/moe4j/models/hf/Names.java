package org.moe4j.models.hf;

import java.util.Optional;
import org.moe4j.FeedForward;
import org.moe4j.FeedForwardExperts;
import org.moe4j.LinearRouter;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.Attention;
import org.moe4j.models.GroupedQueryAttention;
import org.moe4j.models.LatentAttention;
import org.moe4j.models.LayerNorm;
import org.moe4j.models.Linear;
import org.moe4j.models.Norm;
import org.moe4j.models.RmsNorm;

/** The names that many families share for the parts of a block. */
final class Names {
  private Names() {}

  static void norm(WeightMap map, String name, Norm norm) {
    switch (norm) {
      case RmsNorm n -> map.whole(name + ".weight", n.weight());
      case LayerNorm n -> {
        map.whole(name + ".weight", n.weight());
        n.bias().ifPresent(b -> map.whole(name + ".bias", b));
      }
    }
  }

  static void linear(WeightMap map, String name, Linear linear) {
    map.whole(name + ".weight", linear.weight());
    linear.bias().ifPresent(b -> map.whole(name + ".bias", b));
  }

  /** Grouped-query or latent attention as Llama and DeepSeek call its parts. */
  static void attention(WeightMap map, String at, Attention attention) {
    switch (attention) {
      case GroupedQueryAttention a -> grouped(map, at, a, "q_norm", "k_norm");
      case LatentAttention a -> latent(map, at, a);
      default -> throw new IllegalStateException("this family has another attention");
    }
  }

  static void grouped(
      WeightMap map, String at, GroupedQueryAttention a, String qNorm, String kNorm) {
    linear(map, at + "q_proj", a.q());
    linear(map, at + "k_proj", a.k());
    linear(map, at + "v_proj", a.v());
    linear(map, at + "o_proj", a.o());
    a.qNorm().ifPresent(n -> norm(map, at + qNorm, n));
    a.kNorm().ifPresent(n -> norm(map, at + kNorm, n));
    a.sinks().ifPresent(s -> map.whole(at + "sinks", s));
  }

  private static void latent(WeightMap map, String at, LatentAttention a) {
    a.q().ifPresent(q -> linear(map, at + "q_proj", q));
    a.qCompressed()
        .ifPresent(
            q -> {
              linear(map, at + "q_a_proj", q.down());
              norm(map, at + "q_a_layernorm", q.norm());
              linear(map, at + "q_b_proj", q.up());
            });
    linear(map, at + "kv_a_proj_with_mqa", a.kvDown());
    norm(map, at + "kv_a_layernorm", a.kvNorm());
    linear(map, at + "kv_b_proj", a.kvUp());
    linear(map, at + "o_proj", a.o());
  }

  /** A gated network of three projections. */
  static void network(WeightMap map, String at, FeedForward network) {
    halves(map, at + "gate_proj.weight", at + "up_proj.weight", network.in());
    map.whole(at + "down_proj.weight", network.out());
    network.inBias().ifPresent(b -> halves(map, at + "gate_proj.bias", at + "up_proj.bias", b));
    network.outBias().ifPresent(b -> map.whole(at + "down_proj.bias", b));
  }

  private static void halves(WeightMap map, String gate, String up, Parameter both) {
    long h = both.tensor().size(0) / 2;
    map.part(gate, both, w -> w.narrow(0, 0, h));
    map.part(up, both, w -> w.narrow(0, h, h));
  }

  /** Three projections of every expert: {@code at + e + "." + gate} and so on. */
  static void perExpert(
      WeightMap map, String at, MoeLayer moe, String gate, String up, String down) {
    FeedForwardExperts experts = experts(moe);
    long h = experts.out().tensor().size(2);
    for (int e = 0; e < experts.count(); e++) {
      int expert = e;
      String one = at + e + ".";
      map.part(one + gate, experts.in(), w -> w.select(0, expert).narrow(0, 0, h));
      map.part(one + up, experts.in(), w -> w.select(0, expert).narrow(0, h, h));
      map.part(one + down, experts.out(), w -> w.select(0, expert));
    }
  }

  /** Experts as most families release them, or stacked, under {@code at + "experts."}. */
  static void experts(WeightMap map, String at, MoeLayer moe, ExpertLayout layout) {
    switch (layout) {
      case RELEASED ->
          perExpert(
              map, at + "experts.", moe, "gate_proj.weight", "up_proj.weight", "down_proj.weight");
      case FUSED -> fused(map, at + "experts.gate_up_proj", at + "experts.down_proj", moe);
    }
  }

  /** The stacked projections of all experts, [E,2h,d] and [E,d,h]. */
  static void fused(WeightMap map, String in, String out, MoeLayer moe) {
    map.whole(in, experts(moe).in());
    map.whole(out, experts(moe).out());
  }

  /** The trained bias [E] of the router's logits, if it has one. */
  static Optional<Parameter> routerBias(MoeLayer moe) {
    return moe.router() instanceof LinearRouter r ? r.bias() : Optional.empty();
  }

  /** The bias [E] that only the selection sees, if the router has one. */
  static Optional<Parameter> selectionBias(MoeLayer moe) {
    return moe.router() instanceof LinearRouter r ? r.selectionBias() : Optional.empty();
  }

  static void selectionBias(WeightMap map, String name, MoeLayer moe) {
    selectionBias(moe).ifPresent(b -> map.whole(name, b));
  }

  /** The layer that {@code name} belongs to, -1 for none. */
  static int layerOf(String name, String root) {
    String before = root + "layers.";
    if (!name.startsWith(before)) {
      return -1;
    }
    int end = name.indexOf('.', before.length());
    String digits = end < 0 ? "" : name.substring(before.length(), end);
    return digits.matches("[0-9]{1,6}") ? Integer.parseInt(digits) : -1;
  }

  static FeedForwardExperts experts(MoeLayer moe) {
    if (moe.experts() instanceof FeedForwardExperts experts) {
      return experts;
    }
    throw new IllegalStateException("this family has feed-forward experts");
  }
}
