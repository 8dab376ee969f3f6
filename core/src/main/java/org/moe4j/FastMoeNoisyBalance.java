package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * FastMoE's loss of the noisy gate (S08): importance plus load as in S01, but with the unbiased
 * variance, divided by E - 1, which makes both E / (E - 1) times larger. 0 with one expert.
 */
public record FastMoeNoisyBalance() implements Balance {
  @Override
  public String name() {
    return "fastmoe-noisy";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.MEMBERSHIP);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(
        Grouping.BATCH, Counted.ALL, "through combine weights, clean logits and noise scale");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    int experts = TokenChoices.require(routing, name()).expertCount();
    Tensor both =
        new ImportanceBalance()
            .loss(routing, context)
            .add(new LoadBalance().loss(routing, context));
    return both.mul((double) experts / Math.max(1, experts - 1));
  }
}
