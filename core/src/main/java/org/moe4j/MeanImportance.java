package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * S10's mean importance loss: E times the squared 2-norm of the mean over real tokens of the
 * router's probabilities. It is 1 if their mean is even and E if one expert has all of it.
 */
public record MeanImportance() implements Balance {
  @Override
  public String name() {
    return "mean-importance";
  }

  @Override
  public Needs needs() {
    return Needs.anyWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through the probabilities");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor p = TokenChoices.require(routing.evidence().probabilities(), "probabilities", name());
    Tensor tokens = TokenChoices.realTokens(context, 1, p).sum().clampMin(1);
    Tensor mean = TokenChoices.onlyReal(p, context).sum(0, false).div(tokens);
    return mean.square().sum().mul((double) p.size(1));
  }
}
