package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * DeepSeekMoE's device-level loss (S36): experts in D equal consecutive groups, one per device;
 * {@code sum_g f'_g P'_g} with f' the mean of E f_e / k over the group and P' the sum of P_e. It is
 * 1 at even use and sees only the groups' totals.
 *
 * @param devices D; 1 makes the loss constant, so at least 2, or 0 for the groups that the router
 *     itself limits its choice to (S40); without any the loss is constant
 * @param group tokens of one average
 */
public record DeviceBalance(int devices, Grouping group) implements Balance {
  public DeviceBalance {
    if (devices != 0 && devices < 2) {
      throw new MoeException(
          "the device-level balance loss has no meaning on " + devices + " device; remove it");
    }
  }

  @Override
  public String name() {
    return "deepseek-device";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(group, Counted.ALL, "through P'; the counts are constants");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    int experts = routing.expertCount();
    TokenChoice choice = TokenChoices.require(routing, name());
    int d = devices == 0 ? choice.gating().groups().groups() : devices;
    if (experts % d != 0) {
      throw new MoeException(
          "balance loss \""
              + name()
              + "\": "
              + experts
              + " experts do not divide into "
              + d
              + " devices");
    }
    if (context.tokens() == 0) {
      return TokenChoices.zero(choice.weights());
    }
    FractionBalance expertLevel =
        new FractionBalance(
            name(),
            group,
            Counted.ALL,
            true,
            FractionBalance.Padding.EXCLUDED,
            FractionBalance.Scaling.TIMES_EXPERTS);
    FractionBalance.Parts parts = expertLevel.parts(routing, context);
    long groups = parts.fraction().size(0);
    long each = experts / d;
    Tensor f = parts.fraction().view(groups, d, each).mean(2, false).mul(experts);
    Tensor p = parts.probability().view(groups, d, each).sum(2, false);
    return f.mul(p).sum(1, false).mean();
  }
}
