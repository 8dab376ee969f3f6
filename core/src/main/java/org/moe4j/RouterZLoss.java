package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * ST-MoE's router z-loss (S18): the mean over real tokens of the squared logsumexp of the raw
 * logits. It keeps logits small, which keeps the softmax exact in low precision.
 */
public record RouterZLoss() implements Balance {
  @Override
  public String name() {
    return "z-loss";
  }

  @Override
  public Needs needs() {
    return Needs.anyWith(Evidence.Kind.LOGITS);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through the raw logits");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor logits = TokenChoices.require(routing.evidence().logits(), "logits", name());
    Tensor squares = logits.logsumexp(-1, true).square();
    return TokenChoices.onlyReal(squares, context)
        .sum()
        .div(TokenChoices.realTokens(context, 1, squares).sum().clampMin(1));
  }
}
