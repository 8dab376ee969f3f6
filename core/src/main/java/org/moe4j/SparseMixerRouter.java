package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * GRIN's router, SparseMixer-v2 (S57). Each of the k choices is made among the experts that are
 * left: those whose logit is far below the best of them are masked, p is the softmax over the rest,
 * and in training an expert D is drawn from p; in evaluation the best one is taken. The weight is m
 * = p_D, so the k weights do not sum to one.
 *
 * <p>In training the weight becomes a m, where a is 1 if D is the likeliest expert or with
 * probability 1/4, else 1/3: then the router's gradient {@code g m (onehot_D - p)}, for a gradient
 * g that arrives at the weight, estimates the exact one by Heun's third-order rule. The factor a is
 * not part of that gradient. Version 2* (appendix) draws a = 1 with probability 5/8 and takes p
 * from z / 2; its factor 2 and that half cancel in the same formula.
 *
 * <p>The expert's own gradient is multiplied by a m, as in the released code; the paper's
 * algorithm, read literally, has m there.
 */
public final class SparseMixerRouter implements Router {
  /** The two versions of the estimator. */
  public enum Estimator {
    /** The released recipe. */
    V2(0.25, 1),
    /** With the gradient of the weight's own factor. */
    V2_STAR(0.625, 0.5);

    private final double whole;
    private final double sharpness;

    Estimator(double whole, double sharpness) {
      this.whole = whole;
      this.sharpness = sharpness;
    }
  }

  /** What is near enough to the best logit z* to be kept. */
  public enum Mask {
    /** {@code z* - z <= r (|z| + |z*|)}. */
    PAPER,
    /** {@code (z* - z) / max(|z|, z*) <= 2 r}: the code, and the released checkpoints. */
    CODE
  }

  private final int experts;
  private final int k;
  private final double r;
  private final Mask mask;
  private final Estimator estimator;
  private final boolean shortcut;
  private final boolean rounded;
  private final Parameter weight;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "grin", "S57", "experts drawn without replacement, SparseMixer-v2's gradient")
        .losses("mixtral")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("learning", "sampled")
                .with("choices", "2")
                .with("gate", "softmax then select + not renormalised")
                .with("experts", "few large")
                .with("placement", "feed-forward + every layer"))
        .options(
            OptionKey.number("jitter", 0.01, "r: how far below the best logit is still kept"),
            OptionKey.word("mask", "paper", List.of("paper", "code"), "how r is read"),
            OptionKey.word("estimator", "v2", List.of("v2", "v2-star"), "of the gradient"),
            OptionKey.flag("shortcut", true, "full weight whenever the likeliest is drawn"),
            OptionKey.flag("rounded", false, "computed in x's type, as transformers does"))
        .build(
            s ->
                new SparseMixerRouter(
                    s.config(),
                    s.options().number("jitter"),
                    s.options().constant("mask", Mask.class),
                    s.options().constant("estimator", Estimator.class),
                    s.options().flag("shortcut"),
                    s.options().flag("rounded"),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param config d, E, k and how the gate starts
   * @param r how far below the best a kept logit may be
   * @param shortcut whether a draw of the likeliest expert always has its full weight
   * @param rounded whether all is computed in the type of x, not in F32
   */
  public SparseMixerRouter(
      MoeConfig config,
      double r,
      Mask mask,
      Estimator estimator,
      boolean shortcut,
      boolean rounded,
      ParameterStore store,
      int layer) {
    if (!(r >= 0)) {
      throw new MoeException("grin: jitter " + r + "; give at least 0");
    }
    this.experts = config.experts();
    this.k = config.topK();
    this.r = r;
    this.mask = mask;
    this.estimator = estimator;
    this.shortcut = shortcut;
    this.rounded = rounded;
    int width = config.width();
    this.weight =
        store.create(
            "gate.weight", new Role.Gate(layer), config.init().gate(width), experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = rounded || x.dtype() == DType.F64 ? x.dtype() : DType.F32;
    Tensor z = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor left = z;
    List<Tensor> choices = new ArrayList<>();
    List<Tensor> weights = new ArrayList<>();
    for (int j = 0; j < k; j++) {
      Tensor kept = left.maskedFill(far(z, left), Double.NEGATIVE_INFINITY);
      Tensor p = kept.mul(estimator.sharpness).softmax(-1);
      Tensor best = Selection.top(kept, 1);
      Tensor chosen = context.training() ? drawn(p, context) : best;
      Tensor m = p.gather(1, chosen);
      choices.add(chosen);
      weights.add(context.training() ? estimated(m, chosen, best, context) : m);
      left = left.scatter(1, chosen, absent(chosen, type));
    }
    Tensor all = z.softmax(-1);
    return TokenChoice.of(
            experts,
            Tensor.cat(choices, 1),
            Tensor.cat(weights, 1),
            Gating.FIXED,
            Evidence.of(z, all, all, z.detach()))
        .onlyReal(context);
  }

  /** True where a logit is masked; those of experts already chosen are minus infinity anyway. */
  private Tensor far(Tensor z, Tensor left) {
    Tensor all = z.detach();
    Tensor best = left.detach().max(1, true);
    Tensor gap = best.sub(all);
    return switch (mask) {
      case PAPER -> gap.gt(all.abs().add(best.abs()).mul(r));
      case CODE -> {
        Tensor wide = best.expand(all.shape());
        // 0 / 0 compares as false: equal logits of 0 are kept.
        yield gap.div(Tensor.where(all.abs().gt(wide), all.abs(), wide)).gt(2 * r);
      }
    };
  }

  private static Tensor absent(Tensor chosen, DType type) {
    return Tensor.full(Double.NEGATIVE_INFINITY, type, chosen.device(), chosen.shape());
  }

  /** One expert per row from p, by the Gumbel-max rule. */
  private static Tensor drawn(Tensor p, TokenContext context) {
    Tensor u = context.random().uniform(1e-20, 1, DType.F64, p.shape()).to(p.device());
    Tensor noisy = p.detach().to(DType.F64).log().sub(u.log().neg().log());
    return Selection.top(noisy, 1);
  }

  /** a m, with the gradient of m; of 2* with twice that, as its m comes from half the logits. */
  private Tensor estimated(Tensor m, Tensor chosen, Tensor best, TokenContext context) {
    Tensor u = context.random().uniform(chosen.shape()).to(m.device());
    Tensor full = u.lt(estimator.whole);
    if (shortcut) {
      full = full.or(chosen.eq(best));
    }
    double slope = 1 / estimator.sharpness;
    // What is taken off is a constant: it changes the value alone.
    Tensor excess = full.not().to(m.dtype()).mul(2.0 / 3).add(slope - 1);
    return m.mul(slope).sub(m.detach().mul(excess));
  }
}
