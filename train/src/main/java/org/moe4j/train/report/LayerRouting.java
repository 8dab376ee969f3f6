package org.moe4j.train.report;

import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.MoeException;

/**
 * Which domains and tokens a layer's experts were given. A count is a number of choices; for
 * routers that mix, it is a sum of weights.
 *
 * @param layer the block's index in the model
 * @param counts choices by domain and expert [D][E]
 * @param load choices by expert [E], those of tokens without a domain included
 * @param dropped the share of all choices that found no room, 0..1
 * @param typical the tokens that are most typical of each expert, most typical first: [E] lists, or
 *     no list where that was not counted
 */
public record LayerRouting(
    int layer, double[][] counts, double[] load, double dropped, List<List<TypicalToken>> typical) {

  /**
   * A token that an expert is given more often than others are.
   *
   * @param token its text
   * @param count how often this expert was chosen for it
   * @param share of all choices for this token, 0..1
   */
  public record TypicalToken(String token, double count, double share) {}

  /** Checks that the shapes agree. */
  public LayerRouting {
    typical = typical.stream().map(List::copyOf).toList();
    int experts = load.length;
    if (!Arrays.stream(counts).allMatch(row -> row.length == experts)
        || !(typical.isEmpty() || typical.size() == experts)) {
      throw new MoeException(
          "layer " + layer + ": counts, load and typical tokens are of different experts");
    }
  }

  /** E. */
  public int experts() {
    return load.length;
  }

  /** The largest load over the mean load: 1 at even use, up to E / k. */
  public double maxOverMean() {
    return LoadHistory.maxOverMean(load);
  }

  /** Entropy of the load in bits: log2 E at even use. */
  public double loadEntropy() {
    return Information.entropy(load);
  }

  /** Experts that no token chose. */
  public long unused() {
    return Arrays.stream(load).filter(l -> l == 0).count();
  }

  /**
   * What a token's expert tells of its domain: the mutual information of both in bits, 0 if every
   * domain is spread alike. Estimated from counts, so a little above 0 for chance alone.
   */
  public double specialisation() {
    return Information.mutual(counts);
  }
}
