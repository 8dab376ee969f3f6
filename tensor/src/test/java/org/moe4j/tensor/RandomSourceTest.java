package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class RandomSourceTest {
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void aSeedIsAStreamAndStatesCanBeRestored() {
    RandomSource a = new RandomSource(7);
    RandomSource b = new RandomSource(7);
    assertThat(a.normal(100).toFloats()).isEqualTo(b.normal(100).toFloats());
    byte[] state = a.state();
    float[] next = a.uniform(50).toFloats();
    long seed = a.nextSeed();
    a.restore(state);
    assertThat(a.uniform(50).toFloats()).isEqualTo(next);
    assertThat(a.nextSeed()).isEqualTo(seed).isNotNegative();
    assertThat(new RandomSource(8).normal(100).toFloats()).isNotEqualTo(b.normal(100).toFloats());
  }

  @Test
  void aStateOfAnotherKindIsRefused() {
    RandomSource a = new RandomSource(7);
    assertThatThrownBy(() -> a.restore(new byte[10]))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("10 bytes");
  }

  @Test
  void truncatedNormalStopsAtTwoDeviations() {
    double[] x = new RandomSource(9).truncatedNormal(0.5, DType.F64, 200_000).toDoubles();
    assertThat(Arrays.stream(x).max().orElseThrow()).isLessThanOrEqualTo(1.0).isGreaterThan(0.99);
    assertThat(Arrays.stream(x).average().orElseThrow()).isCloseTo(0, within(0.004));
    double variance = Arrays.stream(x).map(v -> v * v).average().orElseThrow();
    // A standard normal cut at two deviations has variance 0.7737.
    assertThat(variance / 0.25).isCloseTo(0.7737, within(0.01));
  }

  @Test
  void permutationsHoldEachIndexOnce() {
    long[] p = new RandomSource(1).permutation(1000).toLongs();
    assertThat(p).isNotEqualTo(Tensor.arange(0, 1000).toLongs());
    Arrays.sort(p);
    assertThat(p).isEqualTo(Tensor.arange(0, 1000).toLongs());
  }
}
