package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.machine.MachineKernels;

/** Machine code against loops without vectors, number by number, and those against doubles. */
class HalfRowsTest {
  private static MachineKernels kernels;

  @BeforeAll
  static void assemble() {
    try {
      kernels = MachineKernels.assemble();
    } catch (EngineException e) {
      assumeThat(e).as(e.getMessage()).isNull();
    }
  }

  private static float[] random(Random random, int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static MemorySegment page(Arena arena, Random random, int rows, int width) {
    MemorySegment page = arena.allocate(64 + 2L * rows * width, 2);
    for (int i = 0; i < rows * width; i++) {
      short half = Float.floatToFloat16((float) random.nextGaussian());
      page.set(ValueLayout.JAVA_SHORT, 64 + 2L * i, half);
    }
    return page;
  }

  @ParameterizedTest
  @ValueSource(ints = {32, 64, 96, 128, 160, 512})
  void bitsAndSumsOfAllNumbersOfRows(int columns) {
    Random random = new Random(columns);
    for (int weights = 1; weights <= 19; weights++) {
      int rows = 1 + random.nextInt(70);
      int from = random.nextInt(rows);
      int width = columns + 32 * random.nextInt(2);
      int wStride = rows + random.nextInt(9);
      int outStride = columns + random.nextInt(40);
      float[] w = random(random, 5 + weights * wStride);
      float[] before = random(random, 3 + weights * outStride);
      float[] plain = before.clone();
      float[] vectors = before.clone();
      float[] machine = before.clone();
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment p = page(arena, random, rows, width);
        new AttentionScalars()
            .addHalves(
                p, 64, width, columns, w, 5, wStride, weights, from, rows, plain, 3, outStride);
        new AttentionVectors()
            .addHalves(
                p, 64, width, columns, w, 5, wStride, weights, from, rows, vectors, 3, outStride);
        HalfRows.add(
            kernels,
            p,
            64,
            width,
            columns,
            w,
            5,
            wStride,
            weights,
            from,
            rows,
            machine,
            3,
            outStride,
            p.address());
        assertThat(machine).containsExactly(plain);
        assertThat(vectors).containsExactly(plain);
        for (int r = 0; r < weights; r++) {
          for (int c = 0; c < outStride; c++) {
            int place = 3 + r * outStride + c;
            double sum = before[place];
            for (int i = from; i < rows && c < columns; i++) {
              short half = p.get(ValueLayout.JAVA_SHORT, 64 + 2L * (i * width + c));
              sum += (double) w[5 + r * wStride + i] * Float.float16ToFloat(half);
            }
            assertThat((double) plain[place]).isCloseTo(sum, within(1e-4));
          }
        }
      }
    }
  }

  @Test
  void nothingBeyondArraysOrMemoryIsTouched() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment p = page(arena, new Random(1), 4, 32);
      refused(p, 5, new float[8], new float[64]);
      refused(p, 4, new float[7], new float[64]);
      refused(p, 4, new float[8], new float[63]);
    }
  }

  private static void refused(MemorySegment p, int rows, float[] w, float[] out) {
    assertThatThrownBy(
            () ->
                HalfRows.add(kernels, p, 64, 32, 32, w, 0, 4, 2, 0, rows, out, 0, 32, p.address()))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }
}
