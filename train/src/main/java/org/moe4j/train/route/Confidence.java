package org.moe4j.train.route;

/**
 * How sure a router is. Means over tokens; entropies in bits, NaN (like all that rests on
 * probabilities) where the router has no distribution.
 *
 * @param topProbability the probability of the most likely expert
 * @param chosenMass the probability of all chosen experts together
 * @param meanEntropy the entropy of a token's distribution: 0 if the router is sure, log2 E if it
 *     does not care
 * @param entropyOfMean the entropy of the mean distribution: log2 E if experts are used evenly
 * @param weights the combine weight at each rank [k], the highest score first
 * @param topProbabilities tokens by their highest probability, in {@value #BINS} bins from 0 to 1;
 *     empty without a distribution
 * @param firstShares tokens by the first choice's share of the token's combine weights, in the same
 *     bins
 */
public record Confidence(
    double topProbability,
    double chosenMass,
    double meanEntropy,
    double entropyOfMean,
    double[] weights,
    long[] topProbabilities,
    long[] firstShares) {
  /** The bins of both histograms. */
  public static final int BINS = 20;
}
