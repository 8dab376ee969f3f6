package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.ParameterStore;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class PositionBucketsTest {
  /**
   * The tables of transformers 5.18 for the distances -200 to 200, as runs {@code first:bucket}
   * (bounds are where a bucket begins, going from earlier to later keys).
   */
  @ParameterizedTest
  @CsvSource({
    "32, 128, true, -200:15 -90:14 -63:13 -45:12 -31:11 -22:10 -15:9 -11:8 -7:7 -6:6 -5:5 -4:4"
        + " -3:3 -2:2 -1:1 0:0 1:17 2:18 3:19 4:20 5:21 6:22 7:23 8:24 12:25 16:26 23:27 32:28"
        + " 46:29 64:30 91:31",
    "32, 128, false, -200:31 -112:30 -98:29 -86:28 -76:27 -66:26 -58:25 -51:24 -45:23 -39:22"
        + " -34:21 -30:20 -26:19 -23:18 -20:17 -18:16 -15:15 -14:14 -13:13 -12:12 -11:11 -10:10"
        + " -9:9 -8:8 -7:7 -6:6 -5:5 -4:4 -3:3 -2:2 -1:1 0:0",
    "8, 20, true, -200:3 -6:2 -1:1 0:0 1:5 2:6 7:7",
    "8, 20, false, -200:7 -13:6 -8:5 -5:4 -3:3 -2:2 -1:1 0:0",
  })
  void distancesHaveTheBucketsOfTransformers(int n, int far, boolean both, String runs) {
    long[] expected = new long[401];
    for (String run : runs.split(" ", -1)) {
      int from = Integer.parseInt(run.substring(0, run.indexOf(':')));
      long bucket = Long.parseLong(run.substring(run.indexOf(':') + 1));
      Arrays.fill(expected, from + 200, expected.length, bucket);
    }
    try (Scope scope = Scope.open()) {
      long[] buckets = new PositionBuckets(n, far).of(-200, 200, both).toLongs();
      assertThat(buckets).isEqualTo(expected);
    }
  }

  /** What a step with a cache adds is the last row of what the whole pass adds. */
  @Test
  void stepsGetRowsOfTheWhole() {
    try (Scope scope = Scope.open();
        ParameterStore store = new ParameterStore(3)) {
      RelativeBias bias = new RelativeBias(store, new PositionBuckets(8, 20), 3, false, 1);
      Tensor whole = bias.scores(0, 30, 30, DType.F32);
      assertThat(whole.shape()).containsExactly(1, 3, 30, 30);
      for (int i = 0; i < 30; i++) {
        Tensor row = whole.narrow(2, i, 1);
        float[] seen = row.narrow(3, 0, i + 1).toFloats();
        assertThat(bias.scores(i, 1, i + 1, DType.F32).toFloats()).isEqualTo(seen);
        for (float later : row.narrow(3, i + 1, 29 - i).toFloats()) {
          assertThat(later).isEqualTo(Float.NEGATIVE_INFINITY);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"2, 128", "9, 128", "0, 128", "32, 16", "32, 0"})
  void withoutALogarithmThereAreNone(int n, int far) {
    assertThatThrownBy(() -> new PositionBuckets(n, far))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("relative_attention_");
  }
}
