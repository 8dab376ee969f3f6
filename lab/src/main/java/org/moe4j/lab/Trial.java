package org.moe4j.lab;

/** One run of an arm with one seed. */
public interface Trial extends AutoCloseable {
  /** The next step. Returns the loss, for those who watch. */
  double step();

  /** What came out, after the last step. */
  Measurement finish();

  @Override
  void close();
}
