package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.moe4j.HierarchicalRouter.Levels;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S01 says the two-level mixture must do. */
class HierarchicalRouterTest extends InScope {
  private static final int D = 5;
  private static final String[] MATRICES = {
    "gate.groups.weight", "gate.groups.noise_weight", "gate.weight", "gate.noise_weight"
  };

  private final ParameterStore store = wide(1);

  private HierarchicalRouter router(int a, int b, int k1, int k2) {
    HierarchicalRouter router = new HierarchicalRouter(D, new Levels(a, b, k1, k2), 0, store, 0);
    RandomSource r = new RandomSource(4);
    for (Parameter p : store.all()) {
      p.tensor().detach().copyInPlace(r.normal(0, 0.7, DType.F64, p.tensor().shape()));
    }
    return router;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(9));
  }

  private double[][] product(Tensor x, String matrix) {
    return rows(x.matmul(store.named(matrix).tensor().detach().t()));
  }

  /** Noisy logits of one level as a loop; the noise is what a context of seed 9 draws next. */
  private double[][] noisy(Tensor x, String weight, String noise, RandomSource source) {
    double[][] c = product(x, weight);
    double[][] s = product(x, noise);
    double[][] n = rows(source.normal(0, 1, DType.F32, c.length, c[0].length));
    for (int t = 0; t < c.length; t++) {
      for (int e = 0; e < c[t].length; e++) {
        c[t][e] += n[t][e] * Math.log1p(Math.exp(s[t][e]));
      }
    }
    return c;
  }

  private static double[] topSoftmax(double[] h, int k) {
    int[] top = Loops.top(h, k);
    double[] p = Loops.softmax(Arrays.stream(top).mapToDouble(e -> h[e]).toArray());
    double[] out = new double[h.length];
    for (int j = 0; j < k; j++) {
      out[top[j]] = p[j];
    }
    return out;
  }

  @Test
  void weightsAreTheProductsOfBothLevels() {
    int a = 3;
    int b = 4;
    HierarchicalRouter router = router(a, b, 2, 3);
    Tensor x = normal(20, D);
    TokenChoice r = router.route(x, train(20));
    RandomSource source = new RandomSource(9);
    double[][] groups = noisy(x, MATRICES[0], MATRICES[1], source);
    double[][] inner = noisy(x, MATRICES[2], MATRICES[3], source);
    double[][] scores = rows(r.evidence().scores().orElseThrow());
    for (int t = 0; t < 20; t++) {
      double[] outer = topSoftmax(groups[t], 2);
      double[] expected = new double[a * b];
      for (int i = 0; i < a; i++) {
        double[] g = topSoftmax(Arrays.copyOfRange(inner[t], i * b, (i + 1) * b), 3);
        for (int j = 0; j < b; j++) {
          expected[i * b + j] = outer[i] * g[j];
        }
      }
      double[] flat = new double[a * b];
      for (int j = 0; j < 6; j++) {
        flat[indices(r.experts())[t][j]] += rows(r.weights())[t][j];
      }
      assertThat(flat).containsExactly(expected, within(1e-12));
      assertThat(scores[t]).containsExactly(expected, within(1e-12));
    }
  }

  @Test
  void withOneGroupItIsTheFlatGate() {
    HierarchicalRouter router = router(1, 6, 1, 2);
    ParameterStore other = wide(1);
    NoisyTopKRouter flat = new NoisyTopKRouter(D, 6, 2, 0, Init.zeros(), other, 0);
    for (String name : new String[] {"gate.weight", "gate.noise_weight"}) {
      other.named(name).tensor().detach().copyInPlace(store.named(name).tensor().detach());
    }
    Tensor x = normal(30, D);
    RandomSource skipping = new RandomSource(9);
    skipping.normal(0, 1, DType.F32, 30, 1); // the draw of the only group
    TokenContext context = train(30);
    TokenChoice two = router.route(x, context);
    TokenChoice one = flat.route(x, TokenContext.train(1, 30, skipping));
    assertThat(two.experts().toLongs()).containsExactly(one.experts().toLongs());
    same(two.weights(), one.weights(), 1e-12);
    for (Balance loss : new Balance[] {new ImportanceBalance(), new LoadBalance()}) {
      assertThat(loss.loss(two, context).item())
          .isCloseTo(loss.loss(one, context).item(), within(1e-12));
    }
    same(
        two.evidence().probabilities().orElseThrow(),
        one.evidence().probabilities().orElseThrow(),
        1e-12);
  }

  @Test
  void importanceSumsToTheTokens() {
    TokenChoice r = router(3, 4, 2, 2).route(normal(50, D), train(50));
    assertThat(r.weights().sum().item()).isCloseTo(50, within(1e-10));
  }

  @Test
  void loadIsTheProductFormula() {
    int a = 3;
    int b = 4;
    int tokens = 40;
    byte[] real = new byte[tokens];
    Arrays.fill(real, (byte) 1);
    real[3] = 0;
    real[17] = 0;
    HierarchicalRouter router = router(a, b, 2, 2);
    Tensor x = normal(tokens, D);
    TokenContext context = train(tokens).withPadding(Tensor.of(real).to(DType.BOOL));
    TokenChoice r = router.route(x, context);
    ParameterStore parts = wide(1);
    RandomSource same = new RandomSource(9);
    TokenContext replay = TokenContext.train(1, tokens, same);
    NoisyTopKRouter primary = new NoisyTopKRouter(D, a, 2, 0, Init.zeros(), parts, 0);
    parts.named("gate.weight").tensor().detach().copyInPlace(store.named(MATRICES[0]).tensor());
    parts
        .named("gate.noise_weight")
        .tensor()
        .detach()
        .copyInPlace(store.named(MATRICES[1]).tensor());
    TokenChoice groups = primary.route(x, replay);
    double[][] p = rows(groups.evidence().membership().orElseThrow());
    // The secondary gate of each group is a flat gate over its own logits and noise.
    double[][] c = product(x, MATRICES[2]);
    double[][] s = product(x, MATRICES[3]);
    double[][] n = rows(same.normal(0, 1, DType.F32, tokens, 12));
    double[] expected = new double[a * b];
    for (int i = 0; i < a; i++) {
      double load = 0;
      int members = 0;
      double[] inner = new double[b];
      for (int t = 0; t < tokens; t++) {
        if (real[t] == 0) {
          continue;
        }
        load += p[t][i];
        int group = i;
        if (Arrays.stream(indices(groups.experts())[t]).anyMatch(e -> e == group)) {
          members++;
          for (int j = 0; j < b; j++) {
            inner[j] += chance(c[t], s[t], n[t], i * b, b, j);
          }
        }
      }
      for (int j = 0; j < b; j++) {
        expected[i * b + j] = load * inner[j] / members;
      }
    }
    double[] actual =
        TokenChoices.onlyReal(r.evidence().membership().orElseThrow(), context)
            .sum(0, false)
            .toDoubles();
    assertThat(actual).containsExactly(expected, within(1e-9));
    assertThat(new LoadBalance().loss(r, context).item())
        .isCloseTo(Loops.variation(expected), within(1e-9));
  }

  /** Chance of expert j of a group to be among its two best if its own noise were drawn again. */
  private static double chance(double[] c, double[] s, double[] n, int start, int b, int j) {
    double[] others = new double[b - 1];
    int at = 0;
    for (int i = 0; i < b; i++) {
      if (i != j) {
        int e = start + i;
        others[at++] = c[e] + n[e] * Math.log1p(Math.exp(s[e]));
      }
    }
    Arrays.sort(others);
    double threshold = others[b - 3];
    return Loops.phi((c[start + j] - threshold) / Math.log1p(Math.exp(s[start + j])));
  }

  @Test
  void lossesHaveTheGradientOfTheirDifferences() {
    HierarchicalRouter router = router(3, 4, 2, 2);
    Tensor x = normal(16, D);
    for (Balance loss : new Balance[] {new ImportanceBalance(), new LoadBalance()}) {
      for (String name : MATRICES) {
        Tensor leaf = store.named(name).tensor();
        slopes(
            loss.name() + " " + name,
            leaf,
            1e-5,
            () -> loss.loss(router.route(x, train(16)), train(16)));
        loss.loss(router.route(x, train(16)), train(16)).backward();
        assertThat(leaf.grad().orElseThrow().abs().sum().item()).as(name).isPositive();
      }
    }
  }

  @Test
  void aGroupWithoutTokensHasNoLoadAndIsNotANumber() {
    HierarchicalRouter router = router(3, 4, 1, 2);
    Tensor groups = store.named(MATRICES[0]).tensor().detach();
    groups.copyInPlace(groups.mul(0));
    groups.select(0, 1).fillInPlace(50);
    store.named(MATRICES[1]).tensor().detach().fillInPlace(-50);
    Tensor x = normal(8, D).abs().add(0.1);
    TokenContext context = train(8);
    TokenChoice r = router.route(x, context);
    assertThat(Arrays.stream(r.experts().toLongs())).allMatch(e -> e / 4 == 1);
    double[] load = r.evidence().membership().orElseThrow().sum(0, false).toDoubles();
    for (int e = 0; e < 12; e++) {
      assertThat(load[e]).isGreaterThanOrEqualTo(0);
      assertThat(load[e] == 0).isEqualTo(e / 4 != 1);
    }
    Tensor loss = new LoadBalance().loss(r, context);
    loss.backward();
    for (Parameter p : store.all()) {
      assertThat(p.tensor().grad().orElseThrow().allFinite()).as(p.name()).isTrue();
    }
  }

  @Test
  void withEverythingChosenTheLoadIsACount() {
    TokenChoice r = router(2, 3, 2, 3).route(normal(10, D), train(10));
    assertThat(r.evidence().membership()).isEmpty();
    assertThat(new LoadBalance().loss(r, train(10)).item()).isZero();
  }

  @Test
  void levelsSplitEvenlyUnlessToldOtherwise() {
    assertThat(Levels.of(8, 4, 0, 0)).isEqualTo(new Levels(2, 4, 2, 2));
    assertThat(Levels.of(8, 2, 0, 0)).isEqualTo(new Levels(2, 4, 2, 1));
    assertThat(Levels.of(256, 4, 16, 2)).isEqualTo(new Levels(16, 16, 2, 2));
    assertThat(Levels.of(12, 6, 0, 0)).isEqualTo(new Levels(3, 4, 3, 2));
    assertThat(Levels.of(7, 3, 0, 0)).isEqualTo(new Levels(1, 7, 1, 3));
    assertThatThrownBy(() -> Levels.of(8, 2, 3, 0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("8 experts do not divide into 3 groups");
    assertThatThrownBy(() -> Levels.of(8, 3, 2, 2)).hasMessageContaining("top-k 3");
    assertThatThrownBy(() -> Levels.of(8, 5, 2, 0)).hasMessageContaining("top-k 5");
    assertThatThrownBy(() -> Levels.of(8, 6, 4, 2)).hasMessageContaining("3 of the 2 experts");
  }
}
