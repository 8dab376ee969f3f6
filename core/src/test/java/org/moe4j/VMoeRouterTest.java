package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S12 says of router, losses and batch prioritised routing. */
class VMoeRouterTest extends InScope {
  private static final int D = 5;
  private static final int E = 6;
  private static final List<DropOrder> ORDERS =
      List.of(DropOrder.CHOICE, DropOrder.PRIORITY, DropOrder.PRIORITY_SUM);

  private static TokenContext train(long tokens, long seed) {
    return TokenContext.train(1, tokens, new RandomSource(seed));
  }

  private static double[][] noise(long tokens, long seed) {
    return rows(new RandomSource(seed).normal(0, 1, DType.F32, tokens, E));
  }

  private static VMoeRouter router(ParameterStore store, int k, double noise) {
    return new VMoeRouter(D, E, k, noise, InitScheme.T5.gate(D), store, 0);
  }

  private static MoeLayer layer(Capacity capacity, Dispatch how, ParameterStore store) {
    return new MoeLayer(
        MoeConfig.builder(D, 4, E, 2)
            .router("v-moe")
            .form(ExpertForm.GELU.withBiases(true))
            .capacity(capacity)
            .dispatch(how)
            .init(InitScheme.T5)
            .build(),
        store);
  }

  private static double[] slice(Parameter p, int from, int length) {
    return Arrays.copyOfRange(p.tensor().toDoubles(), from, from + length);
  }

  private static double[][] slices(Parameter p, int e, int n, int m) {
    return IntStream.range(0, n)
        .mapToObj(i -> slice(p, (e * n + i) * m, m))
        .toArray(double[][]::new);
  }

  /** The layer's output by the algorithm as printed: one slot after the other. */
  private static double[][] sequential(
      double[][] x, double[][] z, int group, long slots, DropOrder order, ParameterStore store) {
    double[][] y = new double[x.length][D];
    for (int start = 0; start < x.length; start += group) {
      int begin = start;
      Integer[] sequence = IntStream.range(begin, begin + group).boxed().toArray(Integer[]::new);
      double[][] p = Arrays.stream(z).map(Loops::softmax).toArray(double[][]::new);
      Comparator<Integer> surest =
          Comparator.comparingDouble(
              t -> {
                int[] top = Loops.top(z[t], 2);
                return -p[t][top[0]] - (order == DropOrder.PRIORITY_SUM ? p[t][top[1]] : 0);
              });
      if (order != DropOrder.CHOICE) {
        Arrays.sort(sequence, surest);
      }
      int[] count = new int[E];
      for (int i = 0; i < 2; i++) {
        for (int t : sequence) {
          int e = Loops.top(z[t], 2)[i];
          if (count[e]++ < slots) {
            double[] out =
                Loops.expert(
                    ExpertForm.GELU,
                    slices(store.named("experts.w_in"), e, 4, D),
                    slices(store.named("experts.w_out"), e, D, 4),
                    slice(store.named("experts.b_in"), e * 4, 4),
                    slice(store.named("experts.b_out"), e * D, D),
                    x[t]);
            for (int j = 0; j < D; j++) {
              y[t][j] += p[t][e] * out[j];
            }
          }
        }
      }
    }
    return y;
  }

  @Test
  void theLayerEqualsTheAlgorithmSlotBySlot() {
    for (DropOrder order : ORDERS) {
      for (double ratio : new double[] {0.1, 0.5, 1.05, E}) {
        for (Dispatch how : List.of(Dispatch.BUFFERS, Dispatch.ONE_HOT)) {
          ParameterStore store = wide(3);
          Capacity capacity = Capacity.vmoePaper(ratio, Grouping.tokens(16), order);
          MoeLayer layer = layer(capacity, how, store);
          Tensor x = normal(32, D);
          double[][] z = rows(x.matmul(store.named("gate.weight").tensor().detach().t()));
          double[][] n = noise(32, 9);
          for (TokenContext context : List.of(TokenContext.eval(2, 16), train(32, 9))) {
            double[][] used = new double[32][E];
            for (int t = 0; t < 32; t++) {
              for (int e = 0; e < E; e++) {
                used[t][e] = z[t][e] + (context.training() ? n[t][e] / E : 0);
              }
            }
            long slots = capacity.slots(context, E, 2);
            MoeOutput out = layer.forward(x, context);
            same(out.output(), matrix(sequential(rows(x), used, 16, slots, order, store)), 1e-10);
            if (slots >= 16) {
              assertThat(out.stats().dropRate()).isZero();
            }
          }
          store.close();
        }
      }
    }
  }

  @Test
  void secondChoicesNeverDisplaceFirstOnes() {
    for (DropOrder order : ORDERS) {
      TokenContext context = TokenContext.eval(1, 64);
      TokenChoice plan = router(wide(2), 2, 1).route(normal(64, D), context);
      TokenChoice kept = Capacity.vmoePaper(0.6, Grouping.BATCH, order).apply(plan, context);
      int[][] asked = indices(kept.choices());
      int[][] served = indices(kept.experts());
      for (int e = 0; e < E; e++) {
        boolean firstDropped = false;
        boolean secondKept = false;
        for (int t = 0; t < 64; t++) {
          firstDropped |= asked[t][0] == e && served[t][0] < 0;
          secondKept |= served[t][1] == e;
        }
        assertThat(firstDropped && secondKept).isFalse();
      }
    }
  }

  @Test
  void priorityDoesNotDependOnTheOrderOfTokensAndPositionDoes() {
    double[][] x = rows(normal(40, D));
    double[][] reversed = new double[40][];
    for (int t = 0; t < 40; t++) {
      reversed[39 - t] = x[t];
    }
    for (DropOrder order : ORDERS) {
      ParameterStore store = wide(2);
      MoeLayer layer =
          layer(Capacity.vmoePaper(0.5, Grouping.BATCH, order), Dispatch.BUFFERS, store);
      double[][] one = rows(layer.forward(matrix(x), TokenContext.eval(1, 40)).output());
      double[][] two = rows(layer.forward(matrix(reversed), TokenContext.eval(1, 40)).output());
      double difference = 0;
      for (int t = 0; t < 40; t++) {
        for (int j = 0; j < D; j++) {
          difference = Math.max(difference, Math.abs(one[t][j] - two[39 - t][j]));
        }
      }
      if (order.byScore()) {
        assertThat(difference).isLessThan(1e-12);
      } else {
        assertThat(difference).isGreaterThan(1e-3);
      }
    }
  }

  private static VMoeBalance loss(VMoeBalance.Signal signal, Grouping group) {
    return new VMoeBalance(signal, group);
  }

  @Test
  void lossesEqualTheirLoopsPerGroup() {
    ParameterStore store = wide(4);
    VMoeRouter router = router(store, 2, 1);
    Tensor x = normal(24, D).mul(2);
    Tensor mask = Tensor.ones(24).to(DType.I64).gt(0);
    byte[] real = mask.toBytes();
    real[3] = 0;
    real[20] = 0;
    TokenContext context = train(24, 6).withPadding(Tensor.of(real, 24).to(DType.BOOL));
    TokenChoice plan = router.route(x, context);
    double[][] z = rows(x.matmul(store.named("gate.weight").tensor().detach().t()));
    double[][] n = noise(24, 6);
    double[] mean = new double[2];
    for (int g = 0; g < 3; g++) {
      double[] importance = new double[E];
      double[] load = new double[E];
      for (int t = 8 * g; t < 8 * g + 8; t++) {
        if (real[t] != 0) {
          double[] p = Loops.softmax(z[t]);
          double[] noisy = new double[E];
          Arrays.setAll(noisy, e -> 0);
          for (int e = 0; e < E; e++) {
            noisy[e] = z[t][e] + n[t][e] / E;
          }
          double threshold = noisy[Loops.top(noisy, 2)[1]];
          for (int e = 0; e < E; e++) {
            importance[e] += p[e];
            load[e] += 1 - Loops.phi((threshold - z[t][e]) * E);
          }
        }
      }
      mean[0] += Loops.variation(importance) / 3;
      mean[1] += Loops.variation(load) / 3;
    }
    Grouping eight = Grouping.tokens(8);
    double a = loss(VMoeBalance.Signal.IMPORTANCE, eight).loss(plan, context).item();
    double b = loss(VMoeBalance.Signal.LOAD, eight).loss(plan, context).item();
    assertThat(a).isCloseTo(mean[0], within(1e-8)).isPositive();
    assertThat(b).isCloseTo(mean[1], within(1e-8)).isPositive();
    assertThat(loss(VMoeBalance.Signal.BOTH, eight).loss(plan, context).item())
        .isCloseTo((a + b) / 2, within(1e-12));
  }

  @Test
  void uniformLogitsCostNothing() {
    ParameterStore store = wide(1);
    VMoeRouter router = new VMoeRouter(D, E, 2, 1, Init.zeros(), store, 0);
    TokenChoice plan = router.route(normal(30, D), train(30, 8));
    for (VMoeBalance.Signal signal : VMoeBalance.Signal.values()) {
      assertThat(loss(signal, Grouping.BATCH).loss(plan, train(30, 8)).item())
          .isCloseTo(0, within(1e-6));
    }
  }

  @Test
  void lossesHaveTheGradientOfTheirDifferences() {
    ParameterStore store = wide(4);
    VMoeRouter router = router(store, 2, 1);
    Tensor x = normal(12, D);
    Tensor leaf = store.named("gate.weight").tensor();
    for (VMoeBalance.Signal signal : VMoeBalance.Signal.values()) {
      slopes(
          signal.name(),
          leaf,
          1e-5,
          () -> loss(signal, Grouping.tokens(6)).loss(router.route(x, train(12, 9)), train(12, 9)));
    }
  }

  @Test
  void membershipIsTheShareOfDrawsThatPassTheThreshold() {
    ParameterStore store = wide(4);
    VMoeRouter router = router(store, 2, 1);
    Tensor x = normal(3, D);
    double[][] p = rows(router.route(x, train(3, 9)).evidence().membership().orElseThrow());
    double[][] z = rows(x.matmul(store.named("gate.weight").tensor().detach().t()));
    double[][] n = noise(3, 9);
    Random redraw = new Random(3);
    int draws = 100_000;
    for (int t = 0; t < 3; t++) {
      double[] noisy = new double[E];
      for (int e = 0; e < E; e++) {
        noisy[e] = z[t][e] + n[t][e] / E;
      }
      double threshold = noisy[Loops.top(noisy, 2)[1]];
      for (int e = 0; e < E; e++) {
        int passed = 0;
        for (int i = 0; i < draws; i++) {
          passed += z[t][e] + redraw.nextGaussian() / E >= threshold ? 1 : 0;
        }
        double sigma = Math.sqrt(p[t][e] * (1 - p[t][e]) / draws);
        assertThat(p[t][e])
            .as("token %d expert %d", t, e)
            .isCloseTo((double) passed / draws, within(4 * sigma + 1e-5));
      }
    }
  }

  @Test
  void withoutNoiseTheLoadIsLeftOut() {
    VMoeRouter router = router(wide(4), 2, 0);
    TokenContext context = train(10, 1);
    TokenChoice plan = router.route(normal(10, D), context);
    double importance =
        loss(VMoeBalance.Signal.IMPORTANCE, Grouping.BATCH).loss(plan, context).item();
    assertThat(loss(VMoeBalance.Signal.BOTH, Grouping.BATCH).loss(plan, context).item())
        .isCloseTo(importance / 2, within(1e-15));
    assertThatThrownBy(() -> loss(VMoeBalance.Signal.LOAD, Grouping.BATCH).loss(plan, context))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("vmoe-load");
  }

  @Test
  void noiseIsDrawnInTrainingAloneAndWeightsAreNotRenormalised() {
    VMoeRouter router = router(wide(4), 2, 1);
    Tensor x = normal(10, D);
    TokenContext training = train(10, 1);
    double[] one = router.route(x, training).weights().toDoubles();
    assertThat(router.route(x, training).weights().toDoubles()).isNotEqualTo(one);
    double[][] w = rows(router.route(x, TokenContext.eval(1, 10)).weights());
    double[][] p =
        rows(router.route(x, TokenContext.eval(1, 10)).evidence().probabilities().orElseThrow());
    for (int t = 0; t < 10; t++) {
      double[] sorted = Arrays.stream(p[t]).sorted().toArray();
      assertThat(w[t]).containsExactly(sorted[E - 1], sorted[E - 2]);
      assertThat(w[t][0] + w[t][1]).isLessThan(1);
    }
  }

  @Test
  void theSameWeightsServeAnotherK() {
    ParameterStore two = wide(4);
    ParameterStore one = wide(5);
    VMoeRouter trained = router(two, 2, 1);
    VMoeRouter single = router(one, 1, 1);
    one.named("gate.weight").tensor().detach().copyInPlace(two.named("gate.weight").tensor());
    Tensor x = normal(10, D);
    TokenContext context = TokenContext.eval(1, 10);
    same(
        single.route(x, context).weights(), trained.route(x, context).weights().narrow(1, 0, 1), 0);
  }

  @Test
  void oneChoiceHasAGradient() {
    ParameterStore store = wide(4);
    VMoeRouter router = router(store, 1, 0);
    Tensor x = normal(10, D);
    Tensor target = normal(10, 1);
    slopes(
        "gate",
        store.named("gate.weight").tensor(),
        1e-6,
        () -> router.route(x, TokenContext.eval(1, 10)).weights().mul(target).sum());
    assertThat(store.named("gate.weight").tensor().requiresGrad()).isTrue();
  }

  @Test
  void impossibleSettingsAreRefused() {
    assertThatThrownBy(() -> router(wide(1), 2, -1))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("router noise -1.0");
    assertThatThrownBy(() -> Capacity.vmoePaper(0, Grouping.BATCH, DropOrder.PRIORITY))
        .hasMessageContaining("capacity factor of 0.0");
    assertThatThrownBy(
            () ->
                Capacity.vmoePaper(0.01, Grouping.BATCH, DropOrder.PRIORITY)
                    .slots(TokenContext.eval(1, 16), 8, 2))
        .hasMessageContaining("leaves no slot for 16 tokens and 8 experts");
  }
}
