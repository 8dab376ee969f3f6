package org.moe4j.train;

import java.nio.file.Path;

/** Told how a run goes on. The library itself prints nothing. */
public interface TrainingListener {
  /** A listener that does not listen. */
  TrainingListener SILENT = new TrainingListener() {};

  /** What the run is doing before and after its steps, in words. */
  default void stage(String what) {}

  /** Something the user should know; the run goes on. */
  default void warning(String line) {}

  /**
   * The steps begin.
   *
   * @param folder of the run
   * @param done steps that an earlier process did
   * @param steps all steps
   */
  default void begin(Path folder, long done, long steps) {}

  /** A step is done. */
  default void step(StepResult result) {}

  /** The model was validated after {@code step}. */
  default void validated(long step, Trainer.Validation validation) {}

  /** A checkpoint is complete. */
  default void checkpoint(Path folder) {}

  /** What the model makes of a prompt after {@code step}. */
  default void sample(long step, Summary.Sample sample) {}

  /** The steps have ended, done, stopped or failed. */
  default void end() {}
}
