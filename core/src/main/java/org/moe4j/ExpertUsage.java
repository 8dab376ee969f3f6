package org.moe4j;

import java.util.Arrays;

/**
 * How evenly retrieved experts are used (S52's two measures): z_i is the sum of the weights that
 * expert i was retrieved with, over all that was added.
 */
public final class ExpertUsage {
  private final double[] z;

  /** Nothing added yet, of {@code experts} experts. */
  public ExpertUsage(int experts) {
    this.z = new double[experts];
  }

  /** Adds a pass. */
  public void add(Retrieval routing) {
    long[] ids = routing.ids().toLongs();
    double[] weights = routing.weights().toDoubles();
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] >= 0) {
        z[(int) ids[i]] += weights[i];
      }
    }
  }

  /** The share of experts that were used at all, 0..1. */
  public double share() {
    return (double) Arrays.stream(z).filter(v -> v != 0).count() / z.length;
  }

  /**
   * How far use is from even: the divergence KL(z || uniform) in nats of z made to sum to one. 0 if
   * even (and if nothing was added), ln N if one expert did everything.
   */
  public double unevenness() {
    double sum = Arrays.stream(z).sum();
    if (sum == 0) {
      return 0;
    }
    return Math.log(z.length)
        + Arrays.stream(z).filter(v -> v > 0).map(v -> v / sum * Math.log(v / sum)).sum();
  }
}
