package org.moe4j.engine.model;

/**
 * Experts of the layers that route.
 *
 * @param experts of a layer; 0 in a model without routing
 * @param used of them for a token
 * @param hidden width inside an expert
 * @param normalised whether the weights of a token's experts are divided by their sum
 * @param scale what they are multiplied by
 * @param groups of experts, of which a token's experts come from the best {@code usedGroups}; 1 if
 *     they may come from anywhere
 */
public record MixtureShape(
    int experts,
    int used,
    int hidden,
    Gating gating,
    boolean normalised,
    float scale,
    int groups,
    int usedGroups) {
  /** No experts. */
  static final MixtureShape NONE = new MixtureShape(0, 0, 0, Gating.SOFTMAX, false, 1, 1, 1);
}
