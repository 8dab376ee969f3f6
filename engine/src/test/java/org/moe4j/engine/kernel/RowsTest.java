package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Vectors against loops without them, and those against doubles. */
class RowsTest {
  private static final RowKernels VECTORS = new RowVectors();
  private static final RowKernels PLAIN = new RowScalars();

  private static float[] random(int n, int seed) {
    Random random = new Random(seed);
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 15, 16, 33, 64, 100, 2048})
  void squaresAndScaledRows(int count) {
    float[] x = random(count + 5, 1);
    double[] sums = new double[16];
    double[] expected = new double[16];
    VECTORS.squares(x, 3, count, sums);
    PLAIN.squares(x, 3, count, expected);
    assertThat(sums).containsExactly(expected);
    double all = 0;
    for (int i = 3; i < 3 + count; i++) {
      all += (double) x[i] * x[i];
    }
    assertThat(Rows.squares(x, 3, count)).isCloseTo(all, within(1e-12 * all));

    float[] scales = random(count, 2);
    float[] to = random(count + 9, 3);
    float[] plain = to.clone();
    VECTORS.scale(x, 3, 0.7f, scales, count, to, 4);
    PLAIN.scale(x, 3, 0.7f, scales, count, plain, 4);
    assertThat(to).containsExactly(plain);
    VECTORS.add(to, 1, 0.3f, x, 2, count);
    PLAIN.add(plain, 1, 0.3f, x, 2, count);
    assertThat(to).containsExactly(plain);
    for (int i = 4; i < count; i++) {
      double number = 0.7 * x[i - 1] * scales[i - 4] + 0.3 * x[i + 1];
      assertThat((double) to[i]).isCloseTo(number, within(1e-5));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 16, 20, 32, 64})
  void turnsKeepLengths(int half) {
    float[] angles = random(half + 2, 4);
    float[] cosines = new float[half + 2];
    float[] sines = new float[half + 2];
    for (int i = 0; i < half + 2; i++) {
      cosines[i] = (float) Math.cos(angles[i]);
      sines[i] = (float) Math.sin(angles[i]);
    }
    float[] before = random(2 * half + 6, 5);
    float[] x = before.clone();
    float[] plain = before.clone();
    VECTORS.turn(x, 3, cosines, sines, 2, half);
    PLAIN.turn(plain, 3, cosines, sines, 2, half);
    assertThat(x).containsExactly(plain);
    for (int i = 0; i < half; i++) {
      double turned = Math.atan2(x[3 + half + i], x[3 + i]);
      double from = Math.atan2(before[3 + half + i], before[3 + i]);
      assertThat(Math.cos(turned - from)).isCloseTo(Math.cos(angles[2 + i]), within(1e-5));
      assertThat(Math.sin(turned - from)).isCloseTo(Math.sin(angles[2 + i]), within(1e-5));
      assertThat(Math.hypot(x[3 + i], x[3 + half + i]))
          .isCloseTo(Math.hypot(before[3 + i], before[3 + half + i]), within(1e-5));
    }
  }
}
