package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.moe4j.train.report.LayerRouting.TypicalToken;

/**
 * How often a layer's experts were chosen for each token of the vocabulary. Where experts times
 * vocabulary is too many, nothing is counted and no token is typical.
 */
final class TokenCounts {
  private static final long MOST_PAIRS = 1 << 20;
  private static final int LISTED = 8;

  /** A token seen less often is no evidence. */
  private static final double FEWEST = 3;

  private final int experts;
  private final int vocab;
  private final double[] counts;

  TokenCounts(int experts, int vocab) {
    this.experts = experts;
    this.vocab = vocab;
    this.counts =
        (long) experts * vocab <= MOST_PAIRS ? new double[experts * vocab] : new double[0];
  }

  void add(int expert, long token, double weight) {
    if (counts.length > 0) {
      counts[expert * vocab + (int) token] += weight;
    }
  }

  /**
   * For each expert the tokens that add most to the divergence of its tokens from all tokens, p(t |
   * e) log(p(t | e) / p(t)): frequent ones for the expert that are rarer elsewhere.
   */
  List<List<TypicalToken>> typical(IntFunction<String> spelling) {
    List<List<TypicalToken>> lists = new ArrayList<>();
    if (counts.length == 0) {
      return lists;
    }
    double[] ofToken = new double[vocab];
    for (int i = 0; i < counts.length; i++) {
      ofToken[i % vocab] += counts[i];
    }
    double all = Arrays.stream(ofToken).sum();
    for (int e = 0; e < experts; e++) {
      int row = e * vocab;
      double load = Arrays.stream(counts, row, row + vocab).sum();
      lists.add(
          IntStream.range(0, vocab)
              .filter(t -> counts[row + t] >= FEWEST)
              .mapToObj(t -> new Scored(t, score(counts[row + t], load, ofToken[t], all)))
              .filter(s -> s.score > 0)
              .sorted(Comparator.comparingDouble(Scored::score).reversed())
              .limit(LISTED)
              .map(
                  s ->
                      new TypicalToken(
                          spelling.apply(s.token),
                          counts[row + s.token],
                          counts[row + s.token] / ofToken[s.token]))
              .toList());
    }
    return lists;
  }

  private record Scored(int token, double score) {}

  private static double score(double pair, double load, double token, double all) {
    return pair / load * Math.log(pair / load / (token / all));
  }
}
