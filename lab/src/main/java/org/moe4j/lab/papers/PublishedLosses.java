package org.moe4j.lab.papers;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.moe4j.lab.ScalingLaw;

/**
 * Validation losses at the end of training, in nats per token, of S17's dense and S-BASE models
 * with experts in every other layer and one expert for a token (the paper's published curves, seed
 * 42).
 */
final class PublishedLosses {
  private static final double[] SIZES = {
    16_527_360, 27_279_360, 57_369_600, 368_123_904, 1_308_819_456
  };

  private static final double[] DENSE = {3.1620, 3.0284, 2.8486, 2.4633, 2.2420};

  /** By size, with 2, 4, 8 and so on to 512 experts. */
  private static final double[][] ROUTED = {
    {3.1124, 3.0495, 2.9855, 2.9009, 2.8269, 2.7557, 2.6908, 2.6334, 2.6205},
    {2.9872, 2.9307, 2.8577, 2.7833, 2.7083, 2.6411, 2.5779, 2.5260, 2.4895},
    {2.8078, 2.7491, 2.6856, 2.6215, 2.5518, 2.4938, 2.4382, 2.3934, 2.3732},
    {2.4360, 2.3885, 2.3405, 2.2938, 2.2499, 2.2108, 2.1796, 2.1536, 2.1351},
  };

  /** How the paper calls its sizes. */
  static final Map<Double, String> NAMES =
      Map.of(SIZES[0], "15M", SIZES[1], "25M", SIZES[2], "55M", SIZES[3], "370M", SIZES[4], "1.3B");

  private PublishedLosses() {}

  /** All 41, by size. */
  static List<ScalingLaw.Point> all() {
    List<ScalingLaw.Point> points = new ArrayList<>();
    for (int i = 0; i < SIZES.length; i++) {
      points.add(new ScalingLaw.Point(SIZES[i], 1, DENSE[i]));
      for (int j = 0; i < ROUTED.length && j < ROUTED[i].length; j++) {
        points.add(new ScalingLaw.Point(SIZES[i], 2 << j, ROUTED[i][j]));
      }
    }
    return points;
  }
}
