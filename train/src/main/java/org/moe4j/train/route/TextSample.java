package org.moe4j.train.route;

import java.util.List;
import java.util.Map;

/**
 * A stretch of text with the experts that each token went to.
 *
 * @param domain its domain
 * @param pieces the text of each token [n]
 * @param layers by layer, what its router chose
 */
public record TextSample(String domain, List<String> pieces, Map<Integer, Choices> layers) {
  /**
   * What one layer chose.
   *
   * @param first the first choices [n]; -1 for none
   * @param second the second choices [n]; -1 for none
   * @param weights the combine weights of the first choices [n]
   */
  public record Choices(int[] first, int[] second, float[] weights) {}
}
