package org.moe4j.train.route;

import org.moe4j.train.report.Information;

/** Adds up how sure the router of a layer is. */
final class ConfidenceAnalysis implements Analysis {
  private static final double LN_2 = Math.log(2);

  private final double[] weights;
  private final double[] probability;
  private final long[] topProbabilities = new long[Confidence.BINS];
  private final long[] firstShares = new long[Confidence.BINS];
  private long rows;
  private long known;
  private double top;
  private double mass;
  private double entropy;

  ConfidenceAnalysis(int experts, int k) {
    weights = new double[k];
    probability = new double[experts];
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    if (trace instanceof RoutingTrace.Chosen chosen) {
      for (int row = 0; row < chosen.rows(); row++) {
        if (tokens.counted()[row / chosen.parts()]) {
          weights(chosen, row);
          if (chosen.probabilities().length > 0) {
            probabilities(chosen, row);
          }
        }
      }
    }
  }

  private void weights(RoutingTrace.Chosen trace, int row) {
    rows++;
    double sum = 0;
    for (int i = 0; i < trace.k(); i++) {
      double weight = trace.weights()[row * trace.k() + i];
      weights[i] += weight;
      sum += weight;
    }
    if (sum > 0) {
      firstShares[bin(trace.weights()[row * trace.k()] / sum)]++;
    }
  }

  private void probabilities(RoutingTrace.Chosen trace, int row) {
    known++;
    int experts = trace.experts();
    double most = 0;
    for (int e = 0; e < experts; e++) {
      double p = trace.probabilities()[row * experts + e];
      probability[e] += p;
      most = Math.max(most, p);
      entropy -= p > 0 ? p * Math.log(p) / LN_2 : 0;
    }
    top += most;
    topProbabilities[bin(most)]++;
    for (int i = 0; i < trace.k(); i++) {
      int chosen = trace.choice(row, i);
      mass += chosen >= 0 ? trace.probabilities()[row * experts + chosen] : 0;
    }
  }

  private static int bin(double share) {
    return Math.clamp((long) (share * Confidence.BINS), 0, Confidence.BINS - 1);
  }

  Confidence result() {
    double[] mean = new double[weights.length];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = weights[i] / rows;
    }
    return new Confidence(
        top / known,
        mass / known,
        entropy / known,
        known == 0 ? Double.NaN : Information.entropy(probability),
        mean,
        known == 0 ? new long[0] : topProbabilities,
        firstShares);
  }
}
