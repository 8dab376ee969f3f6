package org.moe4j;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Loss-free balancing (S56): after each optimiser step the bias of an expert that was asked for
 * more than the mean goes down, of one that was asked for less up. With the counts c of the step
 * before drops, their mean m and the violation e = m - c, the bias moves by {@code rate * rule(e)}.
 * Steps see only the bias of earlier steps, so nothing leaks from the future.
 */
public final class BiasController implements Controller {
  /** How far a bias moves for its violation. */
  public enum Rule {
    /** sign(e): the paper's and DeepSeek-V3's rule. */
    SIGN,
    /** e itself, in choices, as the paper prints the variant: the step grows with the batch. */
    PROPORTIONAL,
    /** e / m: the same variant, independent of the batch's size. */
    RELATIVE
  }

  private final SelectionBias bias;
  private final Rule rule;
  private final double rate;
  private final boolean centred;

  /**
   * A controller of {@code bias}.
   *
   * @param rate u; 0.001 in the paper, 0 leaves the bias as it is
   * @param centred whether the mean of the update is taken off it, so that the bias keeps its mean
   *     (torchtitan's rule; the paper and Megatron do not)
   */
  public BiasController(SelectionBias bias, Rule rule, double rate, boolean centred) {
    if (!(rate >= 0) || Double.isInfinite(rate)) {
      throw new MoeException("bias-rate " + rate + "; give at least 0, for example 0.001");
    }
    this.bias = bias;
    this.rule = rule;
    this.rate = rate;
    this.centred = centred;
  }

  /** The options of a router whose bias is controlled. */
  static List<OptionKey> keys() {
    return List.of(
        OptionKey.word(
            "bias-update",
            "sign",
            List.of("sign", "proportional", "relative"),
            "how the selection bias follows a violation; relative is over the mean load"),
        OptionKey.number("bias-rate", 0.001, "how far the selection bias moves per step"),
        OptionKey.word(
            "bias-form",
            "additive",
            List.of("additive", "multiplicative"),
            "how the selection bias meets the scores"),
        OptionKey.flag("bias-centred", false, "the selection bias keeps its mean"));
  }

  /** The controller that {@code options} describe. */
  static BiasController of(SelectionBias bias, Options options) {
    return new BiasController(
        bias,
        options.constant("bias-update", Rule.class),
        options.number("bias-rate"),
        options.flag("bias-centred"));
  }

  /**
   * What is doubtful about a configuration's selection bias. Everything else goes with it: causal
   * training, since it uses past steps alone, decoding, where it is frozen, capacities, dispatchers
   * and losses (S22).
   */
  static Optional<String> doubts(MoeConfig config) {
    Options options = config.routerEntry().check(config);
    if (!options.has("bias-update")) {
      return Optional.empty();
    }
    String router = "router \"" + config.router() + "\"";
    if (!options.flag("selection-bias") || options.number("bias-rate") == 0) {
      boolean unbalanced = config.balance().stream().allMatch(t -> t.coefficient() == 0);
      return unbalanced
          ? Optional.of(
              router
                  + " without selection-bias or bias-rate and without a balance loss: nothing keeps"
                  + " its experts evenly used")
          : Optional.empty();
    }
    if (config.forceBalance()) {
      return Optional.of(
          router + " and forced balance: its selection bias sees even loads and does not move");
    }
    if (options.word("score").equals("softmax") && options.word("bias-update").equals("sign")) {
      return Optional.of(
          router
              + " with score \"softmax\" and bias-update \"sign\": scores move together, which is"
              + " hard to tune; bias-update \"relative\" is the paper's advice");
    }
    return Optional.empty();
  }

  @Override
  public void update(RoutingStats step) {
    double[] loads = step.asked();
    double mean = Arrays.stream(loads).average().orElse(0);
    if (mean == 0 || rate == 0) {
      return;
    }
    double[] move = Arrays.stream(loads).map(c -> rate * moved(mean - c, mean)).toArray();
    double common = centred ? Arrays.stream(move).average().orElse(0) : 0;
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor values = bias.values().tensor();
      Tensor delta = Tensor.of(Arrays.stream(move).map(d -> d - common).toArray());
      values.addInPlace(delta.to(values.dtype()).to(values.device()));
    }
  }

  private double moved(double violation, double mean) {
    return switch (rule) {
      case SIGN -> Math.signum(violation);
      case PROPORTIONAL -> violation;
      case RELATIVE -> violation / mean;
    };
  }
}
