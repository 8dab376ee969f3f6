package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

class RoutingStatsTest extends InScope {
  private static TokenChoice routing(double[][] probabilities, long... choices) {
    Tensor p = matrix(probabilities);
    int tokens = probabilities.length;
    Tensor chosen = Tensor.of(choices, tokens, choices.length / tokens);
    return TokenChoice.of(
        probabilities[0].length,
        chosen,
        p.gather(1, chosen),
        Gating.SOFTMAX_TOP_K,
        Evidence.of(p.log(), p, p, p));
  }

  @Test
  void countsEntropiesAndConfidence() {
    double[][] p = {{0.7, 0.2, 0.1}, {0.1, 0.8, 0.1}, {0.6, 0.3, 0.1}, {0.25, 0.25, 0.5}};
    TokenChoice r = routing(p, 0, 1, 1, 0, 0, 1, 2, 0);
    TokenContext context =
        TokenContext.eval(1, 4).withPadding(Tensor.of(new byte[] {1, 1, 1, 0}).to(DType.BOOL));
    TokenChoice dropped =
        r.onlyReal(context)
            .keeping(Tensor.of(new byte[] {1, 1, 1, 0, 1, 0, 1, 1}, 4, 2).to(DType.BOOL));
    RoutingStats stats = RoutingStats.of(dropped, context);
    assertThat(stats.tokens()).isEqualTo(3);
    assertThat(stats.asked()).containsExactly(3, 3, 0);
    assertThat(stats.served()).containsExactly(2, 2, 0);
    assertThat(stats.dropRate()).isCloseTo(2.0 / 6, within(1e-12));
    assertThat(stats.imbalance()).isCloseTo(1.5, within(1e-12));
    assertThat(stats.confidence()).isCloseTo((0.7 + 0.8 + 0.6) / 3, within(1e-12));
    double mean = 0;
    double[] total = new double[3];
    for (int t = 0; t < 3; t++) {
      mean += entropy(p[t]) / 3;
      for (int e = 0; e < 3; e++) {
        total[e] += p[t][e] / 3;
      }
    }
    assertThat(stats.meanEntropy()).isCloseTo(mean, within(1e-12));
    assertThat(stats.entropyOfMean()).isCloseTo(entropy(total), within(1e-12));
  }

  private static double entropy(double[] p) {
    double h = 0;
    for (double v : p) {
      h -= v * Math.log(v);
    }
    return h;
  }

  @Test
  void passesAddUp() {
    double[][] a = {{0.7, 0.3}, {0.4, 0.6}};
    double[][] b = {{0.9, 0.1}};
    double[][] all = {{0.7, 0.3}, {0.4, 0.6}, {0.9, 0.1}};
    RoutingStats sum =
        RoutingStats.of(routing(a, 0, 1), TokenContext.eval(1, 2))
            .plus(RoutingStats.of(routing(b, 0), TokenContext.eval(1, 1)));
    RoutingStats whole = RoutingStats.of(routing(all, 0, 1, 0), TokenContext.eval(1, 3));
    assertThat(sum.asked()).containsExactly(whole.asked());
    assertThat(sum.tokens()).isEqualTo(3);
    assertThat(sum.meanEntropy()).isCloseTo(whole.meanEntropy(), within(1e-12));
    assertThat(sum.entropyOfMean()).isCloseTo(whole.entropyOfMean(), within(1e-12));
    assertThat(sum.confidence()).isCloseTo(whole.confidence(), within(1e-12));
  }

  @Test
  void otherFormsHaveLoadsToo() {
    TokenContext context = TokenContext.eval(1, 4);
    ExpertChoice chosen =
        new ExpertChoice(
            Tensor.of(new long[] {0, 1, 2, -1}, 2, 2),
            Tensor.ones(2, 2),
            Gating.FIXED,
            Evidence.none());
    assertThat(RoutingStats.of(chosen, context).served()).containsExactly(2, 1);
    Blend.Dense dense =
        new Blend.Dense(
            Tensor.of(new double[] {0.5, 0.5, 1, 0, 0.25, 0.75, 0, 1}, 4, 2), Evidence.none());
    assertThat(RoutingStats.of(dense, context).asked()).containsExactly(1.75, 2.25);
    Tensor mix = Tensor.full(0.25, DType.F64, Device.CPU, 1, 4, 6);
    assertThat(RoutingStats.of(new Blend.Slots(2, mix, mix, Evidence.none()), context).served())
        .containsExactly(3, 3);
    Retrieval many =
        new Retrieval(
            5, Tensor.of(new long[] {4, 4, 1, 0}, 4, 1), Tensor.ones(4, 1), Evidence.none());
    assertThat(RoutingStats.of(many, context).asked()).containsExactly(1, 1, 0, 0, 2);
  }
}
