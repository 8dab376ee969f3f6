package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * The tokens that set each expert of a layer apart: those with the highest pointwise mutual
 * information log2 p(token | expert) / p(token). Rare tokens have extreme values by chance, so a
 * token counts for an expert from {@value #FEWEST} choices and a thousandth of its load on.
 */
final class TokenAnalysis implements Analysis {
  private static final double FEWEST = 5;
  private static final double FEWEST_OF_LOAD = 1e-3;
  private static final int LISTED = 12;

  private final Vocabulary vocabulary;
  private final int slots;
  private final float[] counts;
  private final double[] load;

  /**
   * Nothing yet.
   *
   * @param vocabulary the frequent tokens of the text, which alone are counted one by one
   */
  TokenAnalysis(int experts, Vocabulary vocabulary) {
    this.vocabulary = vocabulary;
    this.slots = vocabulary.size();
    this.counts = new float[Math.multiplyExact(experts, slots)];
    this.load = new double[experts];
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    trace.read(
        (token, expert, weight, kept) -> {
          if (tokens.counted()[token]) {
            load[expert] += weight;
            int slot = vocabulary.slot(tokens.ids()[token]);
            if (slot >= 0) {
              counts[expert * slots + slot] += (float) weight;
            }
          }
        });
  }

  /** For each expert its tokens, the highest information first: [E] lists. */
  List<List<ExpertToken>> result(IntFunction<String> spelling) {
    int experts = load.length;
    double[] ofToken = new double[slots];
    for (int i = 0; i < counts.length; i++) {
      ofToken[i % slots] += counts[i];
    }
    double all = Arrays.stream(load).sum();
    List<List<ExpertToken>> lists = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      int row = e * slots;
      double share = load[e] / all;
      double fewest = Math.max(FEWEST, FEWEST_OF_LOAD * load[e]);
      lists.add(
          IntStream.range(0, slots)
              .filter(s -> counts[row + s] >= fewest)
              .mapToObj(s -> new Found(s, counts[row + s], counts[row + s] / ofToken[s]))
              .filter(f -> f.share > share)
              .sorted(
                  Comparator.comparingDouble(Found::share)
                      .thenComparingDouble(Found::count)
                      .reversed())
              .limit(LISTED)
              .map(
                  f ->
                      new ExpertToken(
                          spelling.apply(vocabulary.id(f.slot)),
                          f.count,
                          f.share,
                          Math.log(f.share / share) / Math.log(2)))
              .toList());
    }
    return lists;
  }

  private record Found(int slot, double count, double share) {}
}
