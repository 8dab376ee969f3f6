package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * Skywork's balance loss as its report prints it (S44): {@code sum_e (1/E - P_e)^2} with P_e the
 * mean probability of expert e over the batch. It counts nothing: 0 at even means, (E-1)/E if all
 * tokens are sure of one expert.
 */
public record MeanGateSquareBalance() implements Balance {
  @Override
  public String name() {
    return "mean-gate-square";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through P");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor p = TokenChoices.require(routing.evidence().probabilities(), "probabilities", name());
    if (context.tokens() == 0) {
      return TokenChoices.zero(p);
    }
    Tensor real = TokenChoices.realTokens(context, 1, p);
    Tensor mean = TokenChoices.onlyReal(p, context).sum(0, true).div(real);
    return mean.sub(1.0 / routing.expertCount()).square().sum();
  }
}
