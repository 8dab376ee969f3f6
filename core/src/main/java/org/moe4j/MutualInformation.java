package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * DS-MoE's mutual-information loss (S38): {@code -H(e) + H(e|x)}, the entropy of a token's expert
 * distribution less the entropy of its mean over the real tokens of the batch. In nats: 0 if tokens
 * do not differ, -ln E at its best, where each token is sure and the experts are used evenly. The
 * distribution is the softmax of the raw logits.
 */
public record MutualInformation() implements Balance {
  /** The name in configuration files. */
  static final String NAME = "mutual-information";

  private static final double LOG_EPSILON = 1e-8;

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Needs needs() {
    return Needs.anyWith(Evidence.Kind.LOGITS);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(
        Grouping.BATCH, Counted.NONE, "through the softmax of the raw logits, mean and tokens");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor logits = TokenChoices.require(routing.evidence().logits(), "logits", name());
    Tensor s = logits.softmax(-1);
    Tensor real = TokenChoices.realTokens(context, 1, s).sum().clampMin(1);
    Tensor mean = TokenChoices.onlyReal(s, context).sum(0, false).div(real);
    Tensor even = mean.mul(mean.add(LOG_EPSILON).log()).sum();
    // The logarithm of the softmax is exact where S is 0.
    Tensor sure = TokenChoices.onlyReal(s.mul(logits.logSoftmax(-1)), context).sum().div(real);
    return even.sub(sure);
  }
}
