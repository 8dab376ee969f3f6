package org.moe4j.train.config;

import java.nio.file.Path;
import java.util.Optional;
import org.moe4j.tensor.MoeException;

/** Section {@code [run]}. */
public record RunSection(
    @Key(doc = "Name of the run; its folder is dir/name. Made from the time where it is not set.")
        Optional<String> name,
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
        name.orElse("_").matches("[\\p{Alnum}_][\\p{Alnum}._-]*"),
        "run",
        "name '" + name.orElse("") + "' must be letters, digits, '.', '_' and '-' only; it becomes a folder");
  }

  static RunSection defaults() {
    return new RunSection(Optional.empty(), Path.of("runs"), 1, 0, Device.CPU);
  }

  /** With a name. */
  public RunSection withName(String name) {
    return new RunSection(Optional.of(name), dir, seed, threads, device);
  }

  /** The folder of this run, which has a name. */
  public Path folder() {
    return dir.resolve(
        name.orElseThrow(() -> new MoeException("[run] name is not set; give the run a name")));
  }
}
