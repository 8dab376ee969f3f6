package org.moe4j;

import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.Tensor;

/**
 * What a router computed on its way to a decision, for losses, statistics and research. Every part
 * is optional: a fixed rule has none of it.
 */
public final class Evidence {
  /** The parts that losses may need. */
  public enum Kind {
    /** {@link Evidence#logits}. */
    LOGITS,
    /** {@link Evidence#probabilities}, one row per token and one column per expert. */
    PROBABILITIES,
    /** {@link Evidence#membership}. */
    MEMBERSHIP
  }

  private static final Evidence NONE = new Evidence(null, null, null, null, null, Map.of());

  private final @Nullable Tensor logits;
  private final @Nullable Tensor probabilities;
  private final @Nullable Tensor scores;
  private final @Nullable Tensor selection;
  private final @Nullable Tensor membership;
  private final Map<String, Tensor> losses;

  private Evidence(
      @Nullable Tensor logits,
      @Nullable Tensor probabilities,
      @Nullable Tensor scores,
      @Nullable Tensor selection,
      @Nullable Tensor membership,
      Map<String, Tensor> losses) {
    this.logits = logits;
    this.probabilities = probabilities;
    this.scores = scores;
    this.selection = selection;
    this.membership = membership;
    this.losses = losses;
  }

  /** Nothing was computed. */
  public static Evidence none() {
    return NONE;
  }

  /**
   * The usual evidence of a learned router, all [T,E].
   *
   * @param logits raw: before noise, masks and scores
   * @param probabilities rows that sum to one, with gradient: what balance losses average
   * @param scores what the combine weights are read from
   * @param selection what the choice was made by (scores plus bias, masked groups)
   */
  public static Evidence of(Tensor logits, Tensor probabilities, Tensor scores, Tensor selection) {
    return new Evidence(logits, probabilities, scores, selection, null, Map.of());
  }

  /** The same of a router that has no logits of its own: its probabilities are products. */
  public static Evidence of(Tensor probabilities, Tensor scores, Tensor selection) {
    return new Evidence(null, probabilities, scores, selection, null, Map.of());
  }

  /** Evidence of a router without logits: how each token is shared among experts, [T,E]. */
  public static Evidence ofProbabilities(Tensor probabilities) {
    return new Evidence(null, probabilities, null, null, null, Map.of());
  }

  /** With the chance of each token-expert pair to be chosen if its noise were redrawn, [T,E]. */
  public Evidence withMembership(Tensor membership) {
    return new Evidence(logits, probabilities, scores, selection, membership, losses);
  }

  /** With loss terms that only this router can compute: scalars, already weighted, by name. */
  public Evidence withLosses(Map<String, Tensor> losses) {
    return new Evidence(logits, probabilities, scores, selection, membership, Map.copyOf(losses));
  }

  /** Raw logits [T,E]. */
  public Optional<Tensor> logits() {
    return Optional.ofNullable(logits);
  }

  /** Normalised probabilities [T,E]. */
  public Optional<Tensor> probabilities() {
    return Optional.ofNullable(probabilities);
  }

  /** The scores combine weights come from [T,E]. */
  public Optional<Tensor> scores() {
    return Optional.ofNullable(scores);
  }

  /** The scores the selection was made by [T,E]. */
  public Optional<Tensor> selection() {
    return Optional.ofNullable(selection);
  }

  /** Chance of being chosen under redrawn noise [T,E] (S01's load estimator). */
  public Optional<Tensor> membership() {
    return Optional.ofNullable(membership);
  }

  /** The router's own loss terms, weighted, by name. */
  public Map<String, Tensor> losses() {
    return losses;
  }
}
