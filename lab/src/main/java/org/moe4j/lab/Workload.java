package org.moe4j.lab;

import java.util.List;

/** What an arm does. */
public interface Workload {
  /** What decides it, as {@code moe train --set} takes it, if that can be said so. */
  default List<String> settings() {
    return List.of();
  }

  /** What it costs, without doing it. */
  Cost cost(Bench bench);

  /**
   * A run before its first step. What it does follows from the seed and the number of steps alone.
   *
   * @param steps that will be asked for
   */
  Trial start(Bench bench, long seed, int steps);

  /** What is trained. Arms with an equal one share the work of a seed, which is done once. */
  default Object training() {
    return this;
  }
}
