package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * S01's load loss: the squared coefficient of variation of the experts' expected number of tokens,
 * where a token counts for an expert with the chance of being sent there if that expert's noise
 * alone were drawn again. Without noise, or with k = E, plain counts take its place and there is no
 * gradient.
 */
public record LoadBalance() implements Balance {
  @Override
  public String name() {
    return "load";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.MEMBERSHIP);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(
        Grouping.BATCH, Counted.ALL, "through clean logits, noise scale and thresholds");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    TokenChoice r = TokenChoices.require(routing, name());
    Tensor load =
        r.evidence()
            .membership()
            .map(p -> TokenChoices.onlyReal(p, context).sum(0, false))
            .orElseGet(
                () ->
                    TokenChoices.histogram(
                            TokenChoices.counted(r, Counted.ALL),
                            r.expertCount(),
                            1,
                            r.weights().dtype())
                        .view(r.expertCount()));
    return ImportanceBalance.variation(load);
  }
}
