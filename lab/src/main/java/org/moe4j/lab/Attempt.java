package org.moe4j.lab;

/** What came of an experiment in a session of many. */
public sealed interface Attempt {
  /** Which. */
  Experiment experiment();

  /** It ran and has a verdict. */
  record Done(Report report) implements Attempt {
    @Override
    public Experiment experiment() {
      return report.experiment();
    }
  }

  /**
   * It broke.
   *
   * @param reason in one line
   */
  record Failed(Experiment experiment, String reason) implements Attempt {}
}
