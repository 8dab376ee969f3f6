package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * S29's entropy regulariser: the negative entropy of the mean over the batch's real tokens of the
 * softmax of the raw logits, {@code sum p ln p}. It is -ln E if the experts are used evenly and 0
 * if one expert has everything. The mean is taken before the entropy, so that a token may be sure;
 * and of the softmax, even where the router chooses by sigmoids.
 */
public record BatchEntropy() implements Balance {
  @Override
  public String name() {
    return "batch-entropy";
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
    Tensor real =
        context
            .padding()
            .map(mask -> logits.indexSelect(0, mask.nonzero().flatten()))
            .orElse(logits);
    if (real.size(0) == 0) {
      return TokenChoices.zero(logits);
    }
    Tensor mean = logMean(real);
    return mean.exp().mul(mean).sum();
  }

  /** The logarithm of the mean of the softmax of {@code logits} [T,E] over its rows: [E]. */
  static Tensor logMean(Tensor logits) {
    return logits.logSoftmax(-1).logsumexp(0, false).sub(Math.log((double) logits.size(0)));
  }
}
