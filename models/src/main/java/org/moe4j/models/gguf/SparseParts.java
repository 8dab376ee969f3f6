package org.moe4j.models.gguf;

import java.util.List;
import java.util.Optional;
import org.moe4j.CapacityRule;
import org.moe4j.ExpertForm;
import org.moe4j.FeedForward;
import org.moe4j.FeedForwardExperts;
import org.moe4j.Gating;
import org.moe4j.LinearRouter;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Phase;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.DType;

/** Feed-forward halves, dense and sparse, in checks, keys and names. */
final class SparseParts {
  /** Where an architecture has dense layers beside sparse ones. */
  enum Dense {
    /** All layers are dense or all are sparse. */
    ALL_OR_NONE,
    /** All layers are sparse. */
    NONE,
    /** The first layers are dense. */
    FIRST
  }

  private SparseParts() {}

  /** The sparse layers' configuration; they are all alike where {@link #check} found nothing. */
  static Optional<MoeConfig> moe(DecoderConfig c) {
    return c.feedForward().stream().flatMap(f -> f.sparse().stream()).findFirst();
  }

  /** The width of dense layers; of experts if there are none. */
  static int width(DecoderConfig c) {
    return c.feedForward().stream()
        .filter(f -> f instanceof FeedForwardConfig.Dense)
        .mapToInt(f -> ((FeedForwardConfig.Dense) f).width())
        .findFirst()
        .orElseGet(() -> moe(c).map(MoeConfig::expertWidth).orElse(0));
  }

  /** How many layers come before the first sparse one. */
  static int leading(DecoderConfig c) {
    int n = 0;
    while (n < c.layers() && c.feedForward().get(n).sparse().isEmpty()) {
      n++;
    }
    return n;
  }

  /** Checks everything but the gating and shared experts. */
  static void check(DecoderConfig c, Dense dense, ExpertForm form, Fit fit) {
    List<MoeConfig> moe = c.feedForward().stream().flatMap(f -> f.sparse().stream()).toList();
    int n = c.layers() - moe.size();
    boolean fits =
        switch (dense) {
          case NONE -> n == 0;
          case ALL_OR_NONE -> n == 0 || n == c.layers();
          case FIRST -> n == leading(c) && n < c.layers();
        };
    String layers = n == 1 ? "a dense layer" : n + " dense layers";
    fit.require(fits, n == 0 ? "no dense layers" : layers);
    for (FeedForwardConfig f : c.feedForward()) {
      if (f instanceof FeedForwardConfig.Dense d) {
        fit.require(d.form().equals(ExpertForm.SWIGLU), "dense networks other than SwiGLU");
        fit.require(d.width() == width(c), "dense layers of different widths");
        break;
      }
    }
    if (moe.isEmpty()) {
      return;
    }
    MoeConfig first = moe.getFirst();
    boolean alike =
        moe.stream()
            .allMatch(
                m ->
                    m.experts() == first.experts()
                        && m.topK() == first.topK()
                        && m.expertWidth() == first.expertWidth()
                        && m.sharedWidth() == first.sharedWidth()
                        && m.sharedGate() == first.sharedGate()
                        && m.router().equals(first.router())
                        && m.routerOptions().equals(first.routerOptions()));
    fit.require(alike, "sparse layers that differ");
    fit.require(first.form().equals(form), "experts of another form");
    fit.require(
        first.sharedWidth() == 0 || first.sharedForm().equals(ExpertForm.SWIGLU),
        "a shared expert of another form");
    fit.require(!first.outputBias(), "a bias on the sparse layer's output");
    fit.require(
        first.capacity().rule(Phase.EVAL) instanceof CapacityRule.Unlimited,
        "a capacity at evaluation");
  }

  /** How a linear router's choices are made; empty for another router or another gating. */
  static Optional<Gates> gates(MoeConfig moe) {
    return moe.gating().or(() -> linear(moe)).flatMap(Gates::of);
  }

  /** The gating of a router that is linear under a name of its own. */
  private static Optional<Gating> linear(MoeConfig moe) {
    try (ParameterStore store = ParameterStore.shapes(DType.F32)) {
      return new MoeLayer(moe, store).router() instanceof LinearRouter r
          ? Optional.of(r.gating())
          : Optional.empty();
    }
  }

  /** True if the router's logits have a trained bias. */
  static boolean biased(MoeConfig moe) {
    return "true".equals(String.valueOf(moe.routerOptions().get("bias")));
  }

  static void keys(DecoderConfig c, Keys keys) {
    keys.put("feed_forward_length", width(c));
    moe(c)
        .ifPresent(
            moe ->
                keys.put("expert_count", moe.experts())
                    .put("expert_used_count", moe.topK())
                    .put("expert_feed_forward_length", moe.expertWidth()));
  }

  static void dense(TensorTable table, String at, FeedForward network) {
    network(table, at, "", network);
  }

  private static void network(TensorTable table, String at, String kind, FeedForward network) {
    table.halves(
        at + "ffn_gate" + kind + ".weight", at + "ffn_up" + kind + ".weight", network.in(), 0);
    table.whole(at + "ffn_down" + kind + ".weight", network.out());
    network
        .inBias()
        .ifPresent(
            b ->
                table.halves(
                    at + "ffn_gate" + kind + ".bias", at + "ffn_up" + kind + ".bias", b, 0));
    network.outBias().ifPresent(b -> table.whole(at + "ffn_down" + kind + ".bias", b));
  }

  /** Router, stacked experts and shared expert of a layer, whose gate's weight is {@code gate}. */
  static void sparse(TensorTable table, String at, MoeLayer moe, Parameter gate) {
    table.whole(at + "ffn_gate_inp.weight", gate);
    if (moe.router() instanceof LinearRouter router) {
      router.bias().ifPresent(b -> table.whole(at + "ffn_gate_inp.bias", b));
      router.selectionBias().ifPresent(b -> table.whole(at + "exp_probs_b.bias", b));
    }
    if (!(moe.experts() instanceof FeedForwardExperts experts)) {
      throw new IllegalStateException(at + ": experts of another kind passed the check");
    }
    table.halves(at + "ffn_gate_exps.weight", at + "ffn_up_exps.weight", experts.in(), 1);
    table.whole(at + "ffn_down_exps.weight", experts.out());
    experts
        .inBias()
        .ifPresent(b -> table.halves(at + "ffn_gate_exps.bias", at + "ffn_up_exps.bias", b, 1));
    experts.outBias().ifPresent(b -> table.whole(at + "ffn_down_exps.bias", b));
    moe.shared()
        .ifPresent(
            shared -> {
              network(table, at, "_shexp", shared.network());
              shared
                  .gate()
                  .ifPresent(g -> table.part(at + "ffn_gate_inp_shexp.weight", g, w -> w.view(-1)));
            });
  }
}
