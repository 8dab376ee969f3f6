package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.List;

/** The repetition of a layer's choices from token to token, over all text and by domain. */
final class RepetitionAnalysis implements Analysis {
  private static final int MOST_EXPERTS = 512;
  private static final int MOST_EXPERTS_BY_DOMAIN = 128;

  private final RepetitionCounts all;
  private final List<RepetitionCounts> byDomain = new ArrayList<>();

  RepetitionAnalysis(int domains, int experts, int k) {
    all = new RepetitionCounts(experts, k, experts <= MOST_EXPERTS);
    for (int d = 0; d < domains; d++) {
      byDomain.add(new RepetitionCounts(experts, k, experts <= MOST_EXPERTS_BY_DOMAIN));
    }
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    if (!(trace instanceof RoutingTrace.Chosen chosen)) {
      return;
    }
    int parts = chosen.parts();
    for (int row = 0; row < chosen.rows(); row++) {
      int token = row / parts;
      if (!tokens.counted()[token]) {
        continue;
      }
      RepetitionCounts domain = byDomain.get(tokens.domain(token));
      all.token(chosen, row);
      domain.token(chosen, row);
      if (tokens.follows(token)) {
        // The same part of the token before.
        all.neighbours(chosen, row - parts, row);
        domain.neighbours(chosen, row - parts, row);
      }
    }
  }

  Repetition result() {
    return all.result();
  }

  /** [D]. */
  List<Repetition> byDomain() {
    return byDomain.stream().map(RepetitionCounts::result).toList();
  }
}
