package org.moe4j.models.hf;

/** Told how far the reading or writing of weights is. */
@FunctionalInterface
public interface LoadProgress {
  /** Nobody looks. */
  LoadProgress NONE = (done, total) -> {};

  /** {@code done} of {@code total} bytes are through. Calls come one at a time, from any thread. */
  void at(long done, long total);
}
