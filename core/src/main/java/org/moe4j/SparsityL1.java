package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * S10's sparsity loss: the mean over real tokens of the 1-norm of the token's probabilities divided
 * by their 2-norm. It is 1 where a token is sure of one expert and sqrt(E) where all are equal.
 * (The 1-norm alone would be 1 everywhere.)
 */
public record SparsityL1() implements Balance {
  @Override
  public String name() {
    return "sparsity-l1";
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
    Tensor length = p.square().sum(-1, true).clampMin(1e-40).sqrt();
    Tensor ratios = p.abs().sum(-1, true).div(length);
    return TokenChoices.onlyReal(ratios, context)
        .sum()
        .div(TokenChoices.realTokens(context, 1, ratios).sum().clampMin(1));
  }
}
