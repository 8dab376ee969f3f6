package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.engine.CacheType;

class LatentHeadsTest {
  private static final int PAGE = CachedHeads.PAGE;

  private static float[] random(Random random, int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
    }
    return x;
  }

  @ParameterizedTest
  @CsvSource({"64, 48, 1", "96, 64, 4", "576, 512, 16", "576, 512, 7"})
  void scoresAndValuesAreThoseOfKeysKeptOnce(int size, int valueSize, int rows) {
    Random random = new Random(size + rows);
    float[] keys = random(random, PAGE * size);
    float[] q = random(random, rows * size);
    try (Arena arena = Arena.ofConfined()) {
      CachedHeads heads = CachedHeads.latent(CacheType.F16, size, valueSize);
      assertThat(heads.bytes()).isEqualTo(2L * PAGE * size);
      MemorySegment page = arena.allocate(heads.bytes() + 64, 64);
      for (int p = 0; p < PAGE; p++) {
        heads.store(page, 64, p, keys, p * size, keys, p * size);
      }
      float[] scores = new float[rows * PAGE];
      heads.scores(page, 64, q, rows, PAGE, scores, 0, PAGE, page.address());
      float[] plain = new float[rows * PAGE];
      new AttentionScalars().latentScores(page, 64, size / 2, q, rows, plain, 0, PAGE);
      assertThat(scores).containsExactly(plain);
      float[] sums = new float[4 * heads.room()];
      heads.values(page, 64, q, 0, PAGE, 1, 3, 40, sums, 0, page.address());
      for (int p = 0; p < PAGE; p++) {
        double score = 0;
        for (int d = 0; d < size; d++) {
          score += (double) q[(rows - 1) * size + d] * keys[p * size + d];
        }
        assertThat(scores[(rows - 1) * PAGE + p]).isCloseTo((float) score, within(1e-4f));
      }
      for (int d = 0; d < valueSize; d++) {
        double sum = 0;
        for (int p = 3; p < 40; p++) {
          sum += (double) q[p] * keys[p * size + d];
        }
        assertThat(sums[d]).isCloseTo((float) sum, within(1e-4f));
      }
    }
  }
}
