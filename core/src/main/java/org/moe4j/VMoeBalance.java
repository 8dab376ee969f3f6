package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * V-MoE's losses (S12, section 2 and appendix A), each the squared coefficient of variation over
 * experts (population variance), for every group alone and then averaged over groups. Importance is
 * an expert's summed softmax of the logits without noise; load its expected number of tokens under
 * the noise. Other than {@link ImportanceBalance} it counts probabilities of experts that were not
 * chosen too.
 *
 * @param signal which of the two
 * @param group the tokens of one average
 */
public record VMoeBalance(Signal signal, Grouping group) implements Balance {
  /** What varies over experts. */
  public enum Signal {
    /** Summed probabilities. */
    IMPORTANCE,
    /** Expected tokens under the noise; needs a router that draws some. */
    LOAD,
    /** Half of each; of a router without noise the half importance alone, as in the code. */
    BOTH
  }

  @Override
  public String name() {
    return switch (signal) {
      case IMPORTANCE -> "vmoe-importance";
      case LOAD -> "vmoe-load";
      case BOTH -> "vmoe";
    };
  }

  @Override
  public Declaration declaration() {
    String gradient =
        switch (signal) {
          case IMPORTANCE -> "through the softmax of the clean logits";
          case LOAD -> "through clean logits and thresholds";
          case BOTH -> "through clean logits, their softmax and thresholds";
        };
    return new Declaration(group, Counted.NONE, gradient);
  }

  @Override
  public Needs needs() {
    return signal == Signal.LOAD
        ? Needs.anyWith(Evidence.Kind.MEMBERSHIP)
        : Needs.anyWith(Evidence.Kind.LOGITS);
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    return switch (signal) {
      case IMPORTANCE -> importance(routing, context);
      case LOAD ->
          variation(
              TokenChoices.require(
                  routing.evidence().membership(), "chances under the router's noise", name()),
              context);
      case BOTH -> {
        Tensor half = importance(routing, context).mul(0.5);
        yield routing
            .evidence()
            .membership()
            .map(p -> half.add(variation(p, context).mul(0.5)))
            .orElse(half);
      }
    };
  }

  private Tensor importance(Routing routing, TokenContext context) {
    Tensor logits = TokenChoices.require(routing.evidence().logits(), "logits", name());
    return variation(logits.softmax(-1), context);
  }

  /** Mean over groups of the squared variation of the sums of {@code values} [T,E]. */
  private Tensor variation(Tensor values, TokenContext context) {
    if (context.tokens() == 0) {
      return TokenChoices.zero(values);
    }
    Tensor sums =
        TokenChoices.onlyReal(values, context)
            .reshape(group.groups(context), group.groupSize(context), values.size(1))
            .sum(1, false);
    Tensor mean = sums.mean(1, true);
    return sums.sub(mean).square().mean(1, true).div(mean.square().add(1e-10)).mean();
  }
}
