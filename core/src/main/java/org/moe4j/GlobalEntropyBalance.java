package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * LIMoE's global loss (S20): with H the entropy of a modality's mean probabilities and S the number
 * of experts it shall use at least, {@code max(0, ln S - H)}: a modality spreads over the experts,
 * but need not use all. The sum over modalities, which are the context's domains; a modality
 * without tokens gives 0.
 *
 * @param modality the only one it applies to, or -1 for each
 * @param share S as a share of the E experts, rounded up to 1 expert; 1 asks for all of them
 */
public record GlobalEntropyBalance(int modality, double share) implements Balance {
  public GlobalEntropyBalance {
    if (modality < -1) {
      throw new MoeException("modality " + modality + "; give a domain's number, or -1 for each");
    }
    if (!(share > 0 && share <= 1)) {
      throw new MoeException(
          "a modality shall use "
              + share
              + " of the experts at least; give a share above 0, at most 1");
    }
  }

  /** Of every modality, at least a quarter of the experts. */
  public static GlobalEntropyBalance standard() {
    return new GlobalEntropyBalance(-1, 0.25);
  }

  /**
   * With S given as a number of experts.
   *
   * @throws MoeException unless 1 <= S <= E
   */
  public static GlobalEntropyBalance atLeast(double softMinimum, int experts, int modality) {
    if (!(softMinimum >= 1 && softMinimum <= experts)) {
      throw new MoeException(
          "a soft minimum of " + softMinimum + " of " + experts + " experts; give 1 to " + experts);
    }
    return new GlobalEntropyBalance(modality, softMinimum / experts);
  }

  @Override
  public String name() {
    return "limoe-global";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.BATCH, Counted.NONE, "through the mean probabilities");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    Tensor p = TokenChoices.require(routing.evidence().probabilities(), "probabilities", name());
    Tensor mean = Modalities.shares(modality, context, p, name()).mm(p);
    double threshold = Math.log(Math.max(1, share * routing.expertCount()));
    return Modalities.entropy(mean).neg().add(threshold).clampMin(0).sum();
  }
}
