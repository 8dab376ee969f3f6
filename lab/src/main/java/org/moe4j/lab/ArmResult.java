package org.moe4j.lab;

import java.util.List;

/**
 * What the runs of an arm gave.
 *
 * @param name the arm's
 * @param cost computed
 * @param steps of each run
 * @param runs one a seed, in the order of the seeds
 */
public record ArmResult(String name, Cost cost, int steps, List<Measurement> runs) {
  /** Copies the runs. */
  public ArmResult {
    runs = List.copyOf(runs);
  }

  /** The same after these runs. */
  ArmResult with(List<Measurement> more) {
    return new ArmResult(name, cost, steps, more);
  }
}
