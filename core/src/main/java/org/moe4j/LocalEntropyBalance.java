package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * LIMoE's local loss (S20): the mean entropy, in nats, of the probabilities of a modality's tokens,
 * so that each token is sure. The sum over modalities, which are the context's domains. Dropped
 * tokens count; a modality without tokens gives 0.
 *
 * @param modality the only one it applies to (the paper's ablation: text), or -1 for each
 */
public record LocalEntropyBalance(int modality) implements Balance {
  public LocalEntropyBalance {
    if (modality < -1) {
      throw new MoeException("modality " + modality + "; give a domain's number, or -1 for each");
    }
  }

  /** Of every modality. */
  public static LocalEntropyBalance standard() {
    return new LocalEntropyBalance(-1);
  }

  @Override
  public String name() {
    return "limoe-local";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through all probabilities");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor p = TokenChoices.require(routing.evidence().probabilities(), "probabilities", name());
    Tensor entropy = Modalities.entropy(p).unsqueeze(1);
    return Modalities.shares(modality, context, p, name()).mm(entropy).sum();
  }
}
