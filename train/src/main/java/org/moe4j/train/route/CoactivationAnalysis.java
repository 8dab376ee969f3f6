package org.moe4j.train.route;

/** Counts which experts of a layer are chosen together, at any two ranks. */
final class CoactivationAnalysis implements Analysis {
  private final PairCounts pairs;

  CoactivationAnalysis(int experts) {
    pairs = new PairCounts(experts);
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    if (trace instanceof RoutingTrace.Chosen chosen) {
      for (int row = 0; row < chosen.rows(); row++) {
        if (tokens.counted()[row / chosen.parts()]) {
          add(chosen, row);
        }
      }
    }
  }

  private void add(RoutingTrace.Chosen trace, int row) {
    for (int i = 1; i < trace.k(); i++) {
      for (int j = 0; j < i; j++) {
        int a = trace.choice(row, i);
        int b = trace.choice(row, j);
        // A router with several heads may choose an expert twice.
        if (a >= 0 && b >= 0 && a != b) {
          pairs.add(a, b);
        }
      }
    }
  }

  Coactivation result() {
    return Coactivation.of(pairs);
  }
}
