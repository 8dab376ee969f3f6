package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** The mutual-information loss against loops and its known values (S38). */
class MutualInformationTest extends InScope {
  private static final int T = 8;
  private static final int E = 4;

  private static final Balance LOSS = BalanceRegistry.named("mutual-information");
  private final TokenContext context = TokenContext.train(2, T / 2, new RandomSource(1));

  private static Routing of(Tensor logits) {
    Tensor s = logits.softmax(-1);
    return new Blend.Dense(s, Evidence.of(logits, s, s, s.detach()));
  }

  private double loss(double[][] logits) {
    return LOSS.loss(of(matrix(logits)), context).item();
  }

  @Test
  void knownValues() {
    double[][] even = new double[T][E];
    double[][] balanced = new double[T][E];
    double[][] collapsed = new double[T][E];
    for (int t = 0; t < T; t++) {
      balanced[t][t % E] = 1000;
      collapsed[t][2] = 1000;
    }
    assertThat(loss(even)).isCloseTo(0, within(1e-6));
    assertThat(loss(balanced)).isCloseTo(-Math.log(E), within(1e-6));
    assertThat(loss(collapsed)).isCloseTo(0, within(1e-6));
  }

  @Test
  void equalsTheLoopOverRealTokens() {
    Tensor logits = normal(T, E).mul(2);
    byte[] real = {1, 1, 0, 1, 1, 1, 1, 0};
    double[] mean = new double[E];
    double sure = 0;
    for (int t = 0; t < T; t++) {
      double[] s = Loops.softmax(rows(logits)[t]);
      for (int e = 0; e < E && real[t] == 1; e++) {
        mean[e] += s[e] / 6;
        sure -= s[e] * Math.log(s[e]) / 6;
      }
    }
    double of = 0;
    for (double p : mean) {
      of += p * Math.log(p + 1e-8);
    }
    TokenContext padded = context.withPadding(Tensor.of(real).to(DType.BOOL));
    assertThat(LOSS.loss(of(logits), padded).item()).isCloseTo(of + sure, within(1e-12));
  }

  @Test
  void gradientEqualsDifferences() {
    Tensor logits = normal(T, E).requiresGrad(true);
    slopes("logits", logits, 1e-6, () -> LOSS.loss(of(logits), context));
  }

  @Test
  void theOrderOfExpertsDoesNotMatter() {
    Tensor logits = normal(T, E);
    Tensor other = logits.indexSelect(1, Tensor.of(new long[] {2, 0, 3, 1}));
    assertThat(LOSS.loss(of(other), context).item())
        .isCloseTo(LOSS.loss(of(logits), context).item(), within(1e-12));
  }

  @Test
  void aRouterWithoutLogitsIsRefused() {
    Tensor w = normal(T, E).softmax(-1);
    assertThatThrownBy(() -> LOSS.loss(new Blend.Dense(w, Evidence.none()), context))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("mutual-information");
  }
}
