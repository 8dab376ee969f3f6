package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

class SelectionTest extends InScope {
  @Test
  void amongEqualsTheLowerIndexComesFirst() {
    Tensor equal = Tensor.full(0.25, DType.F32, Device.CPU, 3, 64);
    assertThat(indices(Selection.top(equal, 4)))
        .isDeepEqualTo(new int[][] {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}});
  }

  @Test
  void scanAndStableSortAgreeWithARepeatedSearchOnManyTies() {
    Random r = new Random(1);
    for (int round = 0; round < 200; round++) {
      int experts = 1 + r.nextInt(20);
      int k = 1 + r.nextInt(experts);
      double[][] scores = new double[5][experts];
      for (double[] row : scores) {
        for (int e = 0; e < experts; e++) {
          int v = r.nextInt(6);
          row[e] = v == 5 ? Double.NEGATIVE_INFINITY : v - 2;
        }
      }
      int[][] expected = new int[5][];
      for (int t = 0; t < 5; t++) {
        expected[t] = Loops.top(scores[t], k);
      }
      Tensor wide = matrix(scores);
      assertThat(indices(Selection.top(wide, k))).isDeepEqualTo(expected);
      assertThat(indices(Selection.top(wide.to(DType.F32), k))).isDeepEqualTo(expected);
      assertThat(indices(Selection.top(wide.to(DType.BF16), k))).isDeepEqualTo(expected);
      assertThat(indices(Selection.sorted(wide, k))).isDeepEqualTo(expected);
    }
  }

  @Test
  void noRowsGiveNoRows() {
    assertThat(Selection.top(Tensor.zeros(0, 8), 2).shape()).containsExactly(0, 2);
  }
}
