package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFuzzTest {
  @TempDir Path folder;

  @Test
  void damagedModelsRunOrEndInOneLine() throws Exception {
    ModelFuzz fuzz = new ModelFuzz(EngineTest.models(), folder.resolve("model.gguf"));
    for (long seed = 1; seed <= 300; seed++) {
      fuzz.run(seed);
    }
    assertThat(fuzz.refused()).isGreaterThan(50);
    assertThat(fuzz.ran()).isGreaterThan(10);
  }
}
