package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * FastMoE's loss of the Switch gate (S08): E times the sum over experts of n_e / A times (sum over
 * tokens of p_te) / A, where n_e counts the choices that found room and A is their sum. Unlike
 * Switch's own it counts after drops and divides the probabilities by A; 0 if A is 0.
 */
public record FastMoeSwitchBalance() implements Balance {
  @Override
  public String name() {
    return "fastmoe-switch";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(
        Grouping.BATCH, Counted.KEPT, "through the probabilities; the counts are constants");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    TokenChoice r = TokenChoices.require(routing, name());
    Tensor p = TokenChoices.require(r.evidence().probabilities(), "probabilities", name());
    int experts = r.expertCount();
    Tensor counts =
        TokenChoices.histogram(TokenChoices.counted(r, Counted.KEPT), experts, 1, p.dtype())
            .view(experts);
    Tensor all = counts.sum().clampMin(1);
    Tensor sums = TokenChoices.onlyReal(p, context).sum(0, false);
    return counts.div(all).mul(sums.div(all)).sum().mul(experts);
  }
}
