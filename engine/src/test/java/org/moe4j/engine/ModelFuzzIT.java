package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@link ModelFuzz} in {@code mvn verify}, for {@code moe4j.fuzz.seconds} from {@code
 * moe4j.fuzz.seed} on; a failure names the seed that repeats it.
 */
class ModelFuzzIT {
  private static final long SECONDS = Long.getLong("moe4j.fuzz.seconds", 8);
  private static final long FIRST_SEED = Long.getLong("moe4j.fuzz.seed", 1000);

  @TempDir Path folder;

  @Test
  void damagedModelsRunOrEndInOneLine() throws Exception {
    ModelFuzz fuzz = new ModelFuzz(EngineTest.models(), folder.resolve("model.gguf"));
    long end = System.nanoTime() + SECONDS * 1_000_000_000L;
    for (long seed = FIRST_SEED; System.nanoTime() < end; seed++) {
      fuzz.run(seed);
    }
    assertThat(fuzz.refused()).isPositive();
  }
}
