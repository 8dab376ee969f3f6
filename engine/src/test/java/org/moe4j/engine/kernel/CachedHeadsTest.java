package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.CacheType;

class CachedHeadsTest {
  private static final int PAGE = CachedHeads.PAGE;

  private static float[] normal(Random random, int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private record Filled(CachedHeads heads, MemorySegment page, float[] k, float[] v) {}

  /** A page behind 64 bytes that are not its own. */
  private static Filled filled(CacheType type, int keySize, int valueSize, Arena arena) {
    Random random = new Random(keySize + valueSize);
    CachedHeads heads = CachedHeads.of(type, keySize, valueSize);
    MemorySegment page = arena.allocate(heads.bytes() + 64, 64);
    float[] k = normal(random, PAGE * keySize);
    float[] v = normal(random, PAGE * valueSize);
    Arrays.fill(k, 3 * keySize, 4 * keySize, 0f);
    for (int p = 0; p < PAGE; p++) {
      heads.store(page, 64, p, k, p * keySize, v, p * valueSize);
    }
    return new Filled(heads, page, k, v);
  }

  /** Half precision errs by 2^-11 of a number, 8 bits by 1/254 of the largest at its position. */
  @ParameterizedTest
  @CsvSource({"F16,32,32", "F16,48,20", "F16,576,512", "Q8,32,32", "Q8,48,20", "Q8,576,512"})
  void productsAndSumsAreThoseOfADoubleLoop(CacheType type, int keySize, int valueSize) {
    try (Arena arena = Arena.ofConfined()) {
      Filled f = filled(type, keySize, valueSize, arena);
      double error = type == CacheType.F16 ? 0x1p-11 : 4.0 / 254;
      Random random = new Random(1);
      int rows = 7;
      float[] q = normal(random, rows * keySize);
      float[] scores = new float[rows * 100];
      f.heads.scores(f.page, 64, q, rows, PAGE, scores, 5, 100, f.page.address());
      for (int r = 0; r < rows; r++) {
        for (int p = 0; p < PAGE; p++) {
          double sum = 0;
          double size = 1e-6;
          for (int d = 0; d < keySize; d++) {
            sum += (double) q[r * keySize + d] * f.k[p * keySize + d];
            size += Math.abs(q[r * keySize + d]) * Math.max(1, Math.abs(f.k[p * keySize + d]));
          }
          assertThat((double) scores[r * 100 + 5 + p]).isCloseTo(sum, within(error * size));
        }
      }
      float[] w = new float[4 * 70];
      for (int i = 0; i < w.length; i++) {
        w[i] = random.nextFloat();
      }
      int room = f.heads.room();
      assertThat(room).isGreaterThanOrEqualTo(valueSize);
      float[] out = new float[4 * room + 3];
      f.heads.values(f.page, 64, w, 2, 70, 4, 5, 62, out, 3, f.page.address());
      for (int r = 0; r < 4; r++) {
        for (int d = 0; d < valueSize; d++) {
          double sum = 0;
          double size = 1e-6;
          for (int p = 5; p < 62; p++) {
            sum += (double) w[2 + r * 70 + p] * f.v[p * valueSize + d];
            size += w[2 + r * 70 + p] * Math.max(1, Math.abs(f.v[p * valueSize + d]));
          }
          assertThat((double) out[3 + r * room + d]).isCloseTo(sum, within(error * size));
        }
      }
    }
  }

  @Test
  void eightBitsTakeLittleMoreThanHalfTheMemory() {
    double halves = CachedHeads.of(CacheType.F16, 128, 128).bytes();
    assertThat(CachedHeads.of(CacheType.Q8, 128, 128).bytes() / halves).isBetween(0.5, 0.54);
  }

  @ParameterizedTest
  @ValueSource(strings = {"F16", "Q8"})
  void bitsDoNotDependOnHowManyQueriesThereAreAtOnce(CacheType type) {
    try (Arena arena = Arena.ofConfined()) {
      Filled f = filled(type, 80, 80, arena);
      Random random = new Random(2);
      int rows = 11;
      float[] q = normal(random, rows * 80);
      float[] all = new float[rows * PAGE];
      f.heads.scores(f.page, 64, q, rows, PAGE, all, 0, PAGE, f.page.address());
      for (int r = 0; r < rows; r++) {
        float[] one = new float[PAGE];
        float[] query = Arrays.copyOfRange(q, r * 80, r * 80 + 80);
        int count = 1 + (r * 29) % PAGE;
        f.heads.scores(f.page, 64, query, 1, count, one, 0, PAGE, f.page.address());
        assertThat(Arrays.copyOf(one, count))
            .containsExactly(Arrays.copyOfRange(all, r * PAGE, r * PAGE + count));
      }
      int room = f.heads.room();
      float[] together = new float[rows * room];
      f.heads.values(f.page, 64, all, 0, PAGE, rows, 3, 60, together, 0, f.page.address());
      for (int r = 0; r < rows; r++) {
        float[] one = new float[room];
        f.heads.values(f.page, 64, all, r * PAGE, PAGE, 1, 3, 31, one, 0, f.page.address());
        f.heads.values(f.page, 64, all, r * PAGE, PAGE, 1, 31, 60, one, 0, f.page.address());
        assertThat(one).containsExactly(Arrays.copyOfRange(together, r * room, r * room + room));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"F16", "Q8"})
  void vectorsGiveTheBitsOfTheLoopsWithoutThem(CacheType type) {
    assertThat(KernelChoice.ATTENTION).isInstanceOf(AttentionVectors.class);
    AttentionKernels plain = new AttentionScalars();
    try (Arena arena = Arena.ofConfined()) {
      Filled f = filled(type, 40, 64, arena);
      Random random = new Random(3);
      float[] q = normal(random, 6 * 40);
      float[] scores = new float[6 * PAGE];
      f.heads.scores(f.page, 64, q, 6, PAGE, scores, 0, PAGE, f.page.address());
      float[] expected = new float[6 * PAGE];
      int room = f.heads.room();
      float[] out = new float[4 * room];
      f.heads.values(f.page, 64, scores, 0, PAGE, 4, 1, 50, out, 0, f.page.address());
      float[] sums = new float[4 * room];
      if (type == CacheType.F16) {
        plain.addHalves(f.page, 64, PAGE, PAGE, q, 0, 40, 6, 0, 40, expected, 0, PAGE);
        long values = 64 + 40 * 128;
        plain.addHalves(f.page, values, room, room, scores, 0, PAGE, 4, 1, 50, sums, 0, room);
      } else {
        long scales = 64 + 40 * 64 + 16 * 4 * PAGE;
        plain.byteScores(f.page, 64, scales, 40, q, 6, expected, 0, PAGE);
        plain.byteValues(
            f.page, 64 + 40 * 64, scales + 4 * PAGE, 16, scores, 0, PAGE, 4, 1, 50, sums, 0);
      }
      assertThat(scores).containsExactly(expected);
      assertThat(out).containsExactly(sums);
    }
  }
}
