package org.moe4j.cli;

import java.nio.file.Path;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.Loading;
import picocli.CommandLine.Option;

/** Whether an encoder-decoder's experts stay on disk. */
final class ExpertsMemory {
  @Option(
      names = "--experts-memory",
      paramLabel = "SIZE",
      converter = Size.class,
      description =
          "Of an encoder-decoder: leave the experts on disk, read them when tokens come for them"
              + " and keep the last ones in so much memory, in bytes or with k, m, g.")
  private @Nullable Long bytes;

  /** Refuses the flag for a GGUF file. */
  void refuseFor(Path file) {
    if (bytes != null) {
      throw new MoeException(
          file + ": --experts-memory is for encoder-decoder models, which this is not");
    }
  }

  Loading of(Loading how) {
    return bytes == null ? how : how.withExpertBytes(OptionalLong.of(bytes));
  }
}
