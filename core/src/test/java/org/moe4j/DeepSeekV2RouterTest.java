package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** DeepSeek-V2's group-limited router, its losses and its drops (S40). */
class DeepSeekV2RouterTest extends InScope {
  private static final int D = 8;
  private static final int E = 12;
  private static final int K = 3;
  private static final int B = 4;
  private static final int S = 10;

  private static MoeConfig.Builder config(Object... pairs) {
    Map<String, Object> options = new HashMap<>(Map.of("groups", 4, "kept-groups", 2));
    for (int i = 0; i < pairs.length; i += 2) {
      options.put((String) pairs[i], pairs[i + 1]);
    }
    return MoeConfig.builder(D, 4, E, K).router("deepseek-v2", options).init(InitScheme.T5);
  }

  private static TokenContext train() {
    return TokenContext.train(B, S, new RandomSource(5));
  }

  private static TokenChoice route(MoeConfig config, Tensor x, TokenContext context) {
    return (TokenChoice) new MoeLayer(config, wide(1)).router().route(x, context);
  }

  @Test
  void tokensVisitTheBestExpertsOfTheBestGroups() {
    TokenChoice r = route(config().build(), normal(B * S, D), TokenContext.eval(B, S));
    double[][] p = rows(r.evidence().probabilities().orElseThrow());
    for (int t = 0; t < B * S; t++) {
      double[] best = new double[4];
      for (int e = 0; e < E; e++) {
        best[e / 3] = Math.max(best[e / 3], p[t][e]);
      }
      Set<Integer> open = new HashSet<>();
      for (int g : Loops.top(best, 2)) {
        open.add(g);
      }
      double[] masked = p[t].clone();
      for (int e = 0; e < E; e++) {
        masked[e] = open.contains(e / 3) ? masked[e] : -1;
      }
      int[] top = Loops.top(masked, K);
      assertThat(indices(r.experts())[t]).containsExactly(top);
      for (int j = 0; j < K; j++) {
        assertThat(rows(r.weights())[t][j]).isCloseTo(p[t][top[j]], within(1e-12));
      }
    }
  }

  @Test
  void allGroupsAreNoLimitAndTheMasksAgree() {
    Tensor x = normal(B * S, D);
    TokenContext eval = TokenContext.eval(B, S);
    MoeConfig greedy = MoeConfig.builder(D, 4, E, K).init(InitScheme.T5).build();
    assertThat(route(config("kept-groups", 4).build(), x, eval).experts().toLongs())
        .isEqualTo(route(greedy, x, eval).experts().toLongs());
    assertThat(route(config("group-mask", "zero").build(), x, eval).experts().toLongs())
        .isEqualTo(route(config().build(), x, eval).experts().toLongs());
    assertThat(route(config("scale", 16).build(), x, eval).weights().sum().item())
        .isCloseTo(16 * route(config().build(), x, eval).weights().sum().item(), within(1e-9));
  }

  @Test
  void expertsOfAGroupMayChangePlaces() {
    ParameterStore store = wide(1);
    Router router = new MoeLayer(config().build(), store).router();
    Tensor x = normal(B * S, D);
    TokenContext eval = TokenContext.eval(B, S);
    long[] before = ((TokenChoice) router.route(x, eval)).experts().toLongs();
    long[] order = {2, 0, 1, 3, 4, 5, 8, 7, 6, 9, 11, 10};
    Tensor gate = store.named("gate.weight").tensor().detach();
    gate.copyInPlace(gate.indexSelect(0, Tensor.of(order)));
    long[] after = ((TokenChoice) router.route(x, eval)).experts().toLongs();
    for (int i = 0; i < before.length; i++) {
      assertThat(order[(int) after[i]]).isEqualTo(before[i]);
    }
  }

  @Test
  void aBf16InputIsRoutedInF32() {
    Tensor x = normal(B * S, D).to(DType.BF16);
    Router router = new MoeLayer(config().build(), new ParameterStore(3)).router();
    TokenChoice half = (TokenChoice) router.route(x, TokenContext.eval(B, S));
    TokenChoice full = (TokenChoice) router.route(x.to(DType.F32), TokenContext.eval(B, S));
    assertThat(half.experts().toLongs()).isEqualTo(full.experts().toLongs());
    assertThat(half.weights().dtype()).isEqualTo(DType.F32);
  }

  /** Served choices of each of the four devices. */
  private static long[] loads(TokenChoice r) {
    long[] loads = new long[4];
    for (long e : r.experts().toLongs()) {
      if (e >= 0) {
        loads[(int) e / 3]++;
      }
    }
    return loads;
  }

  @Test
  void eachDeviceKeepsItsBestWithinItsBudget() {
    TokenChoice r = route(config("exempt-sequences", 0).build(), normal(B * S, D), train());
    long budget = K * B * S / 4;
    long[] asked = r.asked().toLongs();
    long[] kept = r.experts().toLongs();
    double[] affinity = r.selected().toDoubles();
    for (int device = 0; device < 4; device++) {
      double least = Double.MAX_VALUE;
      double dropped = -1;
      long wanted = 0;
      for (int i = 0; i < asked.length; i++) {
        if (asked[i] / 3 == device) {
          wanted++;
          least = kept[i] >= 0 ? Math.min(least, affinity[i]) : least;
          dropped = kept[i] < 0 ? Math.max(dropped, affinity[i]) : dropped;
        }
      }
      assertThat(loads(r)[device]).isEqualTo(Math.min(wanted, budget));
      assertThat(dropped).isLessThanOrEqualTo(least);
    }
    assertThat(kept).contains(-1);
    double[] weights = r.weights().toDoubles();
    for (int i = 0; i < kept.length; i++) {
      assertThat(weights[i]).isCloseTo(kept[i] < 0 ? 0 : affinity[i], within(1e-15));
    }
  }

  @Test
  void nothingIsDroppedInEvaluationOrWithoutABudget() {
    Tensor x = normal(B * S, D);
    assertThat(route(config().build(), x, TokenContext.eval(B, S)).experts().toLongs())
        .doesNotContain(-1);
    for (Object[] pair :
        new Object[][] {{"device-capacity", 0}, {"device-capacity", 4}, {"exempt-sequences", 1}}) {
      assertThat(route(config(pair).build(), x, train()).experts().toLongs()).doesNotContain(-1);
    }
  }

  @Test
  void exemptSequencesKeepEverythingInAllLayers() {
    MoeConfig config = config("exempt-sequences", 0.5).build();
    ParameterStore store = wide(1);
    Router first = new MoeLayer(config, store.under("a"), 0).router();
    Router second = new MoeLayer(config, store.under("b"), 1).router();
    TokenContext context = TokenContext.train(8, S, new RandomSource(11));
    Tensor x = normal(8 * S, D);
    boolean[] a = whole((TokenChoice) first.route(x, context));
    boolean[] b = whole((TokenChoice) second.route(x, context));
    assertThat(a).contains(true).contains(false);
    assertThat(b).isEqualTo(a);
  }

  private static boolean[] whole(TokenChoice r) {
    boolean[] whole = new boolean[8];
    Arrays.fill(whole, true);
    int[][] experts = indices(r.experts());
    for (int t = 0; t < experts.length; t++) {
      whole[t / S] &= Arrays.stream(experts[t]).allMatch(e -> e >= 0);
    }
    return whole;
  }

  @Test
  void aTokenWithoutAnyExpertHasTheSharedOutputAlone() {
    MoeConfig config =
        config("exempt-sequences", 0, "device-capacity", 0.3).sharedExperts(1).build();
    MoeLayer layer = new MoeLayer(config, wide(1));
    Tensor x = normal(B * S, D);
    MoeOutput out = layer.forward(x, train());
    int[][] experts = indices(((TokenChoice) out.routing()).experts());
    double[][] y = rows(out.output());
    double[][] shared = rows(layer.shared().orElseThrow().forward(x));
    int without = 0;
    for (int t = 0; t < B * S; t++) {
      if (Arrays.stream(experts[t]).allMatch(e -> e < 0)) {
        without++;
        assertThat(y[t]).containsExactly(shared[t], within(1e-15));
      }
    }
    assertThat(without).isPositive();
    assertThat(out.stats().dropRate()).isGreaterThan(0.5);
  }

  private static TokenChoice forced(Tensor logits, int[][] choices) {
    long[] flat = Arrays.stream(choices).flatMapToInt(Arrays::stream).asLongStream().toArray();
    Tensor chosen = Tensor.of(flat, choices.length, choices[0].length);
    Tensor p = logits.softmax(-1);
    Gating gating =
        Gating.SOFTMAX_TOP_K.with(
            new GroupLimit(4, 2, GroupLimit.GroupScore.MAX, GroupLimit.Mask.MINUS_INFINITY));
    return TokenChoice.of(
        E, chosen, p.gather(1, chosen), gating, Evidence.of(logits, p, p, p.detach()));
  }

  @Test
  void lossesAreOneAtEvenUse() {
    Tensor equal = Tensor.zeros(DType.F64, Device.CPU, 12, E);
    // Twelve tokens, each at two devices, every expert and every device equally often.
    int[][] choices = new int[12][];
    Arrays.setAll(choices, t -> new int[] {3 * (t % 4) + t / 4, 3 * ((t + 1) % 4) + t / 4});
    TokenContext context = TokenContext.eval(1, 12);
    TokenChoice even = forced(equal, choices);
    for (String loss : RouterRegistry.named("deepseek-v2").losses()) {
      assertThat(BalanceRegistry.named(loss).loss(even, context).item())
          .as(loss)
          .isCloseTo(1, within(1e-12));
    }
    int[][] together = new int[12][];
    Arrays.setAll(together, t -> new int[] {3 * (t % 4), 3 * (t % 4) + 1});
    // One device per token instead of two: half the communication.
    assertThat(new CommunicationBalance().loss(forced(equal, together), context).item())
        .isCloseTo(0.5, within(1e-12));
  }

  @Test
  void theCommunicationLossEqualsTheLoopAndItsSlopes() {
    byte[] real = new byte[B * S];
    for (int t = 0; t < real.length; t++) {
      real[t] = (byte) (t % 7 == 3 ? 0 : 1);
    }
    TokenContext context = TokenContext.eval(B, S).withPadding(Tensor.of(real).to(DType.BOOL));
    TokenChoice r = route(config().build(), normal(B * S, D), context);
    double[][] p = rows(r.evidence().probabilities().orElseThrow());
    int[][] chosen = indices(r.choices());
    double total = 0;
    for (int b = 0; b < B; b++) {
      double[] sent = new double[4];
      double[] mass = new double[4];
      double n = 0;
      for (int t = b * S; t < (b + 1) * S; t++) {
        if (real[t] == 0) {
          continue;
        }
        n++;
        Set<Integer> devices = new HashSet<>();
        for (int e : chosen[t]) {
          devices.add(e / 3);
        }
        devices.forEach(g -> sent[g]++);
        for (int e = 0; e < E; e++) {
          mass[e / 3] += p[t][e];
        }
      }
      for (int g = 0; g < 4; g++) {
        total += 4.0 / 2 * sent[g] / n * mass[g] / n / B;
      }
    }
    Balance loss = new CommunicationBalance();
    assertThat(loss.loss(r, context).item()).isCloseTo(total, within(1e-12));
    Tensor z = normal(B * S, E).requiresGrad(true);
    int[][] choices = indices(route(config().build(), normal(B * S, D), train()).choices());
    slopes("z", z, 1e-6, () -> loss.loss(forced(z, choices), TokenContext.eval(B, S)));
  }

  @Test
  void impossibleConfigurationsAreRefused() {
    assertThatThrownBy(() -> new MoeLayer(config("groups", 5).build(), wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("12 experts do not divide into 5 groups");
    assertThatThrownBy(() -> new MoeLayer(config("kept-groups", 5).build(), wide(1)))
        .hasMessageContaining("kept-groups 5 of 4");
    MoeConfig narrow =
        MoeConfig.builder(D, 4, E, 4)
            .router("deepseek-v2", Map.of("groups", 4, "kept-groups", 1))
            .build();
    assertThatThrownBy(() -> new MoeLayer(narrow, wide(1)))
        .hasMessageContaining("top-k 4 is more than the 3 experts");
    assertThatThrownBy(() -> new MoeLayer(config("device-capacity", -1).build(), wide(1)))
        .hasMessageContaining("device-capacity -1.0");
    assertThatThrownBy(() -> new MoeLayer(config("exempt-sequences", 2).build(), wide(1)))
        .hasMessageContaining("exempt-sequences 2.0");
    MoeConfig both = config().capacity(Capacity.megablocks(1)).build();
    assertThatThrownBy(() -> Validity.check(both, Validity.Use.ENCODER, false))
        .hasMessageContaining("device-capacity 1.0 and a capacity factor exclude each other");
    for (String loss : new String[] {"deepseek-device", "deepseek-communication"}) {
      MoeConfig ungrouped =
          MoeConfig.builder(D, 4, E, K).balance(BalanceRegistry.named(loss), 0.1).build();
      assertThat(Validity.check(ungrouped, Validity.Use.ENCODER, false))
          .singleElement()
          .asString()
          .contains("\"" + loss + "\" has no gradient", "\"softmax-top-k\" without groups");
    }
    assertThat(Validity.check(config().build(), Validity.Use.CAUSAL_TRAINING, false))
        .singleElement()
        .asString()
        .contains("looks at other tokens in training");
  }
}
