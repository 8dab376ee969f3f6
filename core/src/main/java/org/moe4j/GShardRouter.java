package org.moe4j;

import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * GShard's top-2 gate (S05; also S16 and ST-MoE's original S18): softmax over all experts, the best
 * one always wanted, the second by a policy. Weights are divided by the pair's sum, before drops
 * (the default) or after. Capacity, group-wise, comes afterwards.
 */
public final class GShardRouter implements Router {
  /** When the second expert is wanted. */
  public enum Policy {
    /** Always. */
    ALL,
    /** With probability g2 / threshold; a threshold of 0.5 is the paper's 2 g2. */
    RANDOM,
    /** Always, but drawn in proportion to the other experts' probabilities. */
    SAMPLING,
    /** If g2 is above the threshold. */
    THRESHOLD,
    /** Never. */
    NONE
  }

  private static final List<String> POLICIES =
      List.of("all", "random", "sampling", "threshold", "none");

  private final Policy train;
  private final Policy eval;
  private final double threshold;
  private final Gating gating;
  private final Parameter weight;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "gshard-top-2",
            "S05",
            "top-2 by full softmax, the second expert by a policy; capacity by group")
        .choices(2)
        .losses("gshard")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("choices", "2")
                .with("gate", "softmax then select + renormalised")
                .with("overflow", "drop by position")
                .with("systems", "capacity buffers"))
        .options(
            OptionKey.word("second-expert", "random", POLICIES, "when wanted in training"),
            OptionKey.word("second-expert-eval", "all", POLICIES, "when wanted in evaluation"),
            OptionKey.number("threshold", 0.5, "of random (0.5: probability 2 g2) and threshold"),
            OptionKey.word(
                "renormalise",
                "before-drop",
                List.of("before-drop", "after-drop", "no"),
                "when the pair is divided by its sum (Lingvo: legacy before, else after)"))
        .build(
            s ->
                new GShardRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.options().constant("second-expert", Policy.class),
                    s.options().constant("second-expert-eval", Policy.class),
                    s.options().number("threshold"),
                    renormalise(s.options()),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  private static Renormalise renormalise(Options options) {
    return switch (options.constant("renormalise", Renormalise.When.class)) {
      case NO -> Renormalise.NO;
      case BEFORE_DROP -> Renormalise.beforeDrop(1e-9);
      case AFTER_DROP -> Renormalise.afterDrop(Math.ulp(1.0f));
    };
  }

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param threshold of the policies {@code RANDOM} and {@code THRESHOLD}
   * @param renormalise division by the sum of the pair
   */
  public GShardRouter(
      int width,
      int experts,
      Policy train,
      Policy eval,
      double threshold,
      Renormalise renormalise,
      Init init,
      ParameterStore store,
      int layer) {
    if (experts < 2) {
      throw new MoeException("router \"gshard-top-2\" needs at least 2 experts, not " + experts);
    }
    if (!(threshold >= 0)) {
      throw new MoeException("second-expert threshold " + threshold + "; give at least 0");
    }
    this.train = train;
    this.eval = eval;
    this.threshold = threshold;
    this.gating = Gating.MIXTRAL.with(renormalise);
    this.weight = store.create("gate.weight", new Role.Gate(layer), init, experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor gates = logits.softmax(-1);
    Policy policy = context.training() ? train : eval;
    // By logits, not gates: a saturated softmax leaves ties at 0, and the two must differ.
    Tensor choices = Selection.top(logits, 2);
    if (policy == Policy.SAMPLING) {
      choices = sampled(logits, choices.narrow(1, 0, 1), context);
    }
    Tensor selected = gates.gather(1, choices);
    Tensor pair =
        gating.renormalise().when() == Renormalise.When.BEFORE_DROP
            ? gating.renormalise().divide(selected)
            : selected;
    Tensor second = wanted(policy, pair.detach().narrow(1, 1, 1), context);
    Tensor always = selected.detach().narrow(1, 0, 1).ge(0);
    Tensor wanted = Tensor.cat(List.of(always, second), 1);
    if (policy == Policy.NONE) {
      choices = choices.maskedFill(wanted.not(), -1);
    }
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            wanted,
            selected,
            gating,
            Evidence.of(logits, gates, gates, logits.detach()))
        .onlyReal(context);
  }

  private Tensor wanted(Policy policy, Tensor second, TokenContext context) {
    Tensor all = second.ge(0);
    return switch (policy) {
      case ALL, SAMPLING -> all;
      case NONE -> all.not();
      case THRESHOLD -> second.gt(threshold);
      case RANDOM -> {
        Tensor u = context.random().uniform(second.size(0), 1).to(second.device());
        yield u.to(second.dtype()).lt(second.div(Math.max(threshold, 1e-9)));
      }
    };
  }

  /** The second expert by the Gumbel-max rule among all but the first. */
  private static Tensor sampled(Tensor logits, Tensor first, TokenContext context) {
    Tensor u = context.random().uniform(1e-20, 1, DType.F64, logits.shape()).to(logits.device());
    Tensor noisy = logits.detach().add(u.log().neg().log().neg().to(logits.dtype()));
    Tensor closed =
        Tensor.full(Double.NEGATIVE_INFINITY, logits.dtype(), logits.device(), first.size(0), 1);
    Tensor second = Selection.top(noisy.scatter(1, first, closed), 1);
    return Tensor.cat(List.of(first, second), 1);
  }
}
