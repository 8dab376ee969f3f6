package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * S01's importance loss: the squared coefficient of variation of the experts' summed combine
 * weights over the batch. Variance is the population's (divided by E).
 */
public record ImportanceBalance() implements Balance {
  @Override
  public String name() {
    return "importance";
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through the combine weights");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    TokenChoice r = TokenChoices.require(routing, name());
    Tensor ids = TokenChoices.counted(r, Counted.KEPT);
    Tensor w = r.weights();
    Tensor sums =
        Tensor.zeros(w.dtype(), w.device(), r.expertCount() + 1L)
            .indexAdd(0, ids.reshape(ids.numel()), w.reshape(w.numel()));
    return variation(sums.narrow(0, 0, r.expertCount()));
  }

  /** The squared coefficient of variation of {@code v} [E]: variance / (mean^2 + 1e-10). */
  static Tensor variation(Tensor v) {
    Tensor mean = v.mean();
    return v.sub(mean).square().mean().div(mean.square().add(1e-10));
  }
}
