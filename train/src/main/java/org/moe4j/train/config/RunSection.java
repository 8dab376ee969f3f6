package org.moe4j.train.config;

import java.nio.file.Path;

/** Section {@code [run]}. */
public record RunSection(
    @Key(doc = "Name of the run; its folder is dir/name.") String name,
    @Key(doc = "Folder of all runs.") Path dir,
    @Key(doc = "Every random number of the run follows from it.") long seed,
    @Key(doc = "Processor cores to compute with; 0 takes all.", min = 0, max = 1024) int threads,
    @Key(doc = "What computes.") Device device) {

  /** Where tensors live. */
  public enum Device {
    CPU,
    CUDA
  }

  /** Refuses a name that is not one folder's name. */
  public RunSection {
    Check.that(
        name.matches("[\\p{Alnum}_][\\p{Alnum}._-]*"),
        "run",
        "name '" + name + "' must be letters, digits, '.', '_' and '-' only; it becomes a folder");
  }

  static RunSection defaults() {
    return new RunSection("wordnet", Path.of("runs"), 1, 0, Device.CPU);
  }

  /** The folder of this run. */
  public Path folder() {
    return dir.resolve(name);
  }
}
