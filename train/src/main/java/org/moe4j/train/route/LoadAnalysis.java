package org.moe4j.train.route;

import org.moe4j.train.report.Information;

/**
 * How often each expert of a layer was chosen, by domain: at any rank, first, and second. Choices
 * count before capacity drops any.
 */
final class LoadAnalysis implements Analysis {
  private final double[][] any;
  private final double[][] first;
  private final double[][] second;
  private double asked;
  private double served;

  LoadAnalysis(int domains, int experts) {
    any = new double[domains][experts];
    first = new double[domains][experts];
    second = new double[domains][experts];
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    trace.read(
        (token, expert, weight, kept) -> {
          if (tokens.counted()[token]) {
            any[tokens.domain(token)][expert] += weight;
            asked += weight;
            served += kept ? weight : 0;
          }
        });
    if (trace instanceof RoutingTrace.Chosen chosen) {
      ranks(tokens, chosen);
    }
  }

  private void ranks(TokenBatch tokens, RoutingTrace.Chosen trace) {
    for (int row = 0; row < trace.rows(); row++) {
      int token = row / trace.parts();
      if (tokens.counted()[token]) {
        count(first[tokens.domain(token)], trace.choice(row, 0));
        if (trace.k() > 1) {
          count(second[tokens.domain(token)], trace.choice(row, 1));
        }
      }
    }
  }

  private static void count(double[] counts, int expert) {
    if (expert >= 0) {
      counts[expert]++;
    }
  }

  /** [D][E], at any rank. */
  double[][] any() {
    return any;
  }

  /** [D][E]: as first choices. */
  double[][] first() {
    return first;
  }

  /** [D][E]: as second choices. */
  double[][] second() {
    return second;
  }

  /** [E], over all domains. */
  double[] load() {
    return Information.columns(any, any[0].length);
  }

  /** The share of choices that found no room, 0..1. */
  double dropped() {
    return asked == 0 ? 0 : 1 - served / asked;
  }
}
