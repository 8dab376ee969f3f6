package org.moe4j;

/**
 * What a parameter is for. Freezing, optimiser groups, clipping and sharding go by role, never by a
 * pattern over names.
 */
public sealed interface Role {
  /** A router's weights. */
  record Gate(int layer) implements Role {}

  /** The stacked weights of all routed experts of a layer: expert j is slice j of dimension 0. */
  record RoutedExperts(int layer, int experts) implements Role {}

  /** A shared expert, which every token visits. */
  record SharedExpert(int layer) implements Role {}

  /**
   * State that no gradient trains: a controller's bias or coefficients, a hash table, a prior over
   * domains. It is saved with the model in its own type and counts as no parameter.
   */
  record State(int layer) implements Role {}

  /** The token embedding, or the output projection that may be tied to it. */
  record Embedding() implements Role {}

  /** A normalisation's scale or shift: never decayed. */
  record Norm() implements Role {}

  /** Everything else: attention and dense feed-forward weights. */
  record NonExpert() implements Role {}

  /** The embedding role. */
  Role EMBEDDING = new Embedding();

  /** The normalisation role. */
  Role NORM = new Norm();

  /** The role of dense weights. */
  Role NON_EXPERT = new NonExpert();
}
