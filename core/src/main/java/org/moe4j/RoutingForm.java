package org.moe4j;

/** The form of the plan that a router returns in training. */
public enum RoutingForm {
  /** {@link TokenChoice}. */
  TOKEN_CHOICE,
  /** {@link ExpertChoice}. */
  EXPERT_CHOICE,
  /** {@link Blend.Dense}: every expert computes every token. */
  DENSE,
  /** {@link Blend.Slots}. */
  SLOTS,
  /** {@link Retrieval}. */
  RETRIEVAL
}
