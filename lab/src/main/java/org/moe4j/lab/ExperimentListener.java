package org.moe4j.lab;

/** Told how an experiment goes on. */
public interface ExperimentListener {
  /** A listener that does not listen. */
  ExperimentListener SILENT = new ExperimentListener() {};

  /** What is being done, in words. */
  default void stage(String what) {}

  /**
   * A step is done.
   *
   * @param arm whose
   * @param seed of its run
   * @param step of {@code steps} of this run
   * @param share of the whole experiment that is done, 0..1
   */
  default void step(String arm, long seed, int step, int steps, double loss, double share) {}
}
