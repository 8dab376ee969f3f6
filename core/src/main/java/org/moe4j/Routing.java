package org.moe4j;

/**
 * A router's plan: who computes what, with which weight. The literature needs four forms.
 *
 * <p>Legend of shapes in this package: T tokens (B sequences of S), d width, h expert width, E
 * experts, k choices per token, C capacity (slots of an expert), G groups of tokens, R rows that
 * experts compute.
 */
public sealed interface Routing permits TokenChoice, ExpertChoice, Blend, Retrieval {
  /** E. */
  int expertCount();

  /** What the router computed on its way. */
  Evidence evidence();
}
