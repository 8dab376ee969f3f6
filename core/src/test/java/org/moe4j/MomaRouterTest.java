package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S53 says of modality groups, their choice and the auxiliary router. */
class MomaRouterTest extends InScope {
  private static final int D = 6;

  private final ParameterStore store = wide(1);

  private MoeLayer layer(int experts, int k, Map<String, ?> options) {
    store.close();
    return new MoeLayer(
        MoeConfig.builder(D, 4, experts, k)
            .router("moma", options)
            .init(InitScheme.T5)
            .dispatch(Dispatch.DROPLESS)
            .build(),
        store);
  }

  private static TokenContext train(int tokens, long... tags) {
    return TokenContext.train(1, tokens, new RandomSource(5)).withDomains(Tensor.of(tags, tokens));
  }

  private static long[] tags(int tokens) {
    return IntStream.range(0, tokens).mapToLong(t -> t % 3 == 0 ? 1 : 0).toArray();
  }

  private double[][] scores(double[][] x) {
    double[][] w = rows(store.named("gate.weight").tensor());
    return Arrays.stream(x)
        .map(row -> Arrays.stream(Loops.matvec(w, row)).map(Loops::sigmoid).toArray())
        .toArray(double[][]::new);
  }

  private double[] expert(int e, double[] x) {
    return Loops.expert(
        ExpertForm.SWIGLU,
        rows(store.named("experts.w_in").tensor().select(0, e)),
        rows(store.named("experts.w_out").tensor().select(0, e)),
        new double[0],
        new double[0],
        x);
  }

  /** The training pass as loops. */
  private double[][] reference(double[][] x, long[] tags, int[] sizes, int k) {
    double[][] s = scores(x);
    double[][] y = new double[x.length][D];
    int e = 0;
    for (int m = 0; m < sizes.length; m++) {
      int modality = m;
      int[] members = IntStream.range(0, x.length).filter(t -> tags[t] == modality).toArray();
      int share = Math.min(members.length, (int) Math.ceil((double) k * members.length / sizes[m]));
      for (int j = 0; j < sizes[m]; j++, e++) {
        int expert = e;
        double[] column = Arrays.stream(members).mapToDouble(t -> s[t][expert]).toArray();
        for (int i : Loops.top(column, share)) {
          double[] f = expert(e, x[members[i]]);
          for (int c = 0; c < D; c++) {
            y[members[i]][c] += column[i] * f[c];
          }
        }
      }
    }
    return y;
  }

  @Test
  void trainingEqualsBruteForcePerGroup() {
    double[][] x = rows(normal(25, D));
    x[7] = x[4];
    x[9] = x[6];
    long[] tags = tags(25);
    Map<String, int[]> sizes =
        Map.of("", new int[] {4, 4}, "6,2", new int[] {6, 2}, "7, 1", new int[] {7, 1});
    for (int k : new int[] {1, 2, 8}) {
      sizes.forEach(
          (text, groups) -> {
            MoeLayer layer = layer(8, k, Map.of("group-sizes", text));
            same(
                layer.forward(matrix(x), train(25, tags)).output(),
                matrix(reference(x, tags, groups, k)),
                1e-12);
          });
    }
    MoeLayer mixed = layer(8, 1, Map.of("group-sizes", "8"));
    same(
        mixed.forward(matrix(x), train(25, tags)).output(),
        matrix(reference(x, new long[25], new int[] {8}, 1)),
        1e-12);
  }

  @Test
  void modalitiesDoNotShareExperts() {
    double[][] x = rows(normal(20, D));
    long[] tags = tags(20);
    MoeLayer layer = layer(4, 1, Map.of());
    double[][] before = rows(layer.forward(matrix(x), train(20, tags)).output());
    store.named("experts.w_out").tensor().detach().narrow(0, 2, 2).mulInPlace(3);
    double[][] after = rows(layer.forward(matrix(x), train(20, tags)).output());
    boolean changed = false;
    for (int t = 0; t < 20; t++) {
      if (tags[t] == 0) {
        assertThat(after[t]).isEqualTo(before[t]);
      } else {
        changed |= !Arrays.equals(after[t], before[t]);
      }
    }
    assertThat(changed).isTrue();
  }

  @Test
  void sharesAreRoundedUp() {
    for (int text : new int[] {0, 1, 3, 20, 21}) {
      long[] tags = new long[21];
      Arrays.fill(tags, text, 21, 1);
      RoutingStats stats = layer(14, 1, Map.of()).forward(normal(21, D), train(21, tags)).stats();
      // In F32, 21 * (1 / 7) rounds up to 4.
      for (int e = 0; e < 14; e++) {
        int n = e < 7 ? text : 21 - text;
        int share = (n + 6) / 7;
        assertThat(stats.served()[e]).isEqualTo(share);
      }
    }
  }

  @Test
  void aGroupOfOneServesAllItsTokens() {
    double[][] x = rows(normal(10, D));
    MoeLayer layer = layer(2, 1, Map.of());
    double[][] y = rows(layer.forward(matrix(x), train(10, tags(10))).output());
    double[][] s = scores(x);
    for (int t = 0; t < 10; t++) {
      int e = t % 3 == 0 ? 1 : 0;
      double[] f = expert(e, x[t]);
      for (int c = 0; c < D; c++) {
        assertThat(y[t][c]).isCloseTo(s[t][e] * f[c], within(1e-12));
      }
    }
  }

  @Test
  void permutedTokensWithTheirTagsArePermutedInTheOutput() {
    MoeLayer layer = layer(8, 1, Map.of());
    double[][] x = rows(normal(30, D));
    long[] tags = tags(30);
    List<Integer> order = new ArrayList<>(IntStream.range(0, 30).boxed().toList());
    Collections.shuffle(order, new Random(4));
    double[][] moved = order.stream().map(t -> x[t]).toArray(double[][]::new);
    long[] movedTags = order.stream().mapToLong(t -> tags[t]).toArray();
    double[][] y = rows(layer.forward(matrix(x), train(30, tags)).output());
    double[][] z = rows(layer.forward(matrix(moved), train(30, movedTags)).output());
    for (int t = 0; t < 30; t++) {
      assertThat(z[t]).containsExactly(y[order.get(t)], within(1e-12));
    }
  }

  @Test
  void paddingIsAsIfItWereNotThere() {
    MoeLayer layer = layer(8, 1, Map.of());
    double[][] x = rows(normal(15, D));
    long[] tags = tags(15);
    byte[] real = new byte[15];
    Arrays.fill(real, (byte) 1);
    real[3] = 0;
    real[8] = 0;
    int[] kept = IntStream.range(0, 15).filter(t -> real[t] == 1).toArray();
    double[][] alone = Arrays.stream(kept).mapToObj(t -> x[t]).toArray(double[][]::new);
    long[] aloneTags = Arrays.stream(kept).mapToLong(t -> tags[t]).toArray();
    TokenContext padded = train(15, tags).withPadding(Tensor.of(real, 15).to(DType.BOOL));
    MoeOutput with = layer.forward(matrix(x), padded);
    MoeOutput without = layer.forward(matrix(alone), train(13, aloneTags));
    double[][] y = rows(with.output());
    double[][] z = rows(without.output());
    for (int i = 0; i < kept.length; i++) {
      assertThat(y[kept[i]]).isEqualTo(z[i]);
    }
    assertThat(y[3]).containsOnly(0);
    assertThat(y[8]).containsOnly(0);
    assertThat(with.balance().item()).isCloseTo(without.balance().item(), within(1e-12));
  }

  @Test
  void gumbelNoiseIsLogisticAndFinite() {
    Tensor noise =
        MomaRouter.logistic(
            Tensor.zeros(100_000).to(DType.F64), TokenContext.train(1, 1, new RandomSource(3)));
    double mean = noise.mean().item();
    assertThat(mean).isCloseTo(0, within(0.02));
    assertThat(noise.sub(mean).square().mean().item())
        .isCloseTo(Math.PI * Math.PI / 3, within(0.02 * Math.PI * Math.PI / 3));
    assertThat(noise.allFinite()).isTrue();
    // Drawn in training alone, before the choice: the weight sees the same noise.
    Tensor x = normal(20, D);
    MoeLayer noisy = layer(4, 1, Map.of("gumbel", true));
    ExpertChoice plan = (ExpertChoice) noisy.router().route(x, train(20, tags(20)));
    double[][] weights = rows(plan.weights());
    int[][] tokens = indices(plan.tokens());
    for (int e = 0; e < 4; e++) {
      for (int c = 1; c < tokens[e].length && tokens[e][c] >= 0; c++) {
        assertThat(weights[e][c]).isLessThanOrEqualTo(weights[e][c - 1]);
      }
    }
    double[][] plain = scores(rows(x));
    assertThat(weights[0][0])
        .isNotEqualTo(Arrays.stream(plain).mapToDouble(r -> r[0]).max().orElseThrow());
  }

  @Test
  void equalExpertsGiveTheSumOfScoresTimesTheirFunction() {
    MoeLayer layer = layer(8, 1, Map.of());
    for (String name : List.of("experts.w_in", "experts.w_out")) {
      Tensor w = store.named(name).tensor().detach();
      for (int e = 1; e < 8; e++) {
        w.select(0, e).copyInPlace(w.select(0, 0));
      }
    }
    double[][] x = rows(normal(18, D));
    MoeOutput out = layer.forward(matrix(x), train(18, tags(18)));
    double[] sum = new double[18];
    ExpertChoice plan = (ExpertChoice) out.routing();
    int[][] tokens = indices(plan.tokens());
    double[][] s = scores(x);
    for (int e = 0; e < 8; e++) {
      int expert = e;
      Arrays.stream(tokens[e]).filter(t -> t >= 0).forEach(t -> sum[t] += s[t][expert]);
    }
    double[][] y = rows(out.output());
    for (int t = 0; t < 18; t++) {
      double[] f = expert(0, x[t]);
      for (int c = 0; c < D; c++) {
        assertThat(y[t][c]).isCloseTo(sum[t] * f[c], within(1e-12));
      }
    }
  }

  private Tensor auxiliaryLoss(MoeLayer layer, Tensor x, TokenContext context) {
    return layer.router().route(x, context).evidence().losses().get("moma-auxiliary");
  }

  @Test
  void theAuxiliaryLossIsTheBinaryCrossEntropyOfTheChoice() {
    MoeLayer layer = layer(8, 1, Map.of("auxiliary-loss", 0.5, "group-sizes", "6,2"));
    double[][] x = rows(normal(21, D));
    long[] tags = tags(21);
    MoeOutput out = layer.forward(matrix(x), train(21, tags));
    int[][] tokens = indices(((ExpertChoice) out.routing()).tokens());
    double[][] in = rows(store.named("gate.auxiliary_in").tensor());
    double[][] end = rows(store.named("gate.auxiliary_out").tensor());
    double[] loss = new double[2];
    int[] pairs = new int[2];
    for (int t = 0; t < 21; t++) {
      int m = (int) tags[t];
      double[] hidden =
          Arrays.stream(Loops.matvec(Arrays.copyOfRange(in, 3 * m, 3 * m + 3), x[t]))
              .map(v -> v * Loops.sigmoid(v))
              .toArray();
      for (int e = m == 0 ? 0 : 6; e < (m == 0 ? 6 : 8); e++) {
        double a = Loops.sigmoid(Loops.matvec(end, hidden)[e]);
        int token = t;
        boolean taken = Arrays.stream(tokens[e]).anyMatch(i -> i == token);
        loss[m] -= Math.log(taken ? a : 1 - a);
        pairs[m]++;
      }
    }
    assertThat(out.losses().get("moma-auxiliary").item())
        .isCloseTo(0.5 * (loss[0] / pairs[0] + loss[1] / pairs[1]), within(1e-10));
    for (String name : List.of("gate.auxiliary_in", "gate.auxiliary_out")) {
      slopes(
          name,
          store.named(name).tensor(),
          1e-6,
          () -> auxiliaryLoss(layer, matrix(x), train(21, tags)));
    }
    assertThat(
            layer(8, 1, Map.of("auxiliary-loss", 0)).forward(matrix(x), train(21, tags)).losses())
        .isEmpty();
  }

  @Test
  void theAuxiliaryRouterLearnsAndTeachesNothingElse() {
    MoeLayer layer = layer(8, 1, Map.of());
    Tensor x = normal(96, D).requiresGrad(true);
    TokenContext context = train(96, tags(96));
    auxiliaryLoss(layer, x, context).backward();
    assertThat(x.grad()).isEmpty();
    for (Parameter p : store.all()) {
      assertThat(p.tensor().grad().isPresent())
          .as(p.name())
          .isEqualTo(p.name().contains("auxiliary"));
    }
    for (int step = 0; step < 600; step++) {
      store.all().forEach(p -> p.tensor().clearGrad());
      auxiliaryLoss(layer, x, context).backward();
      for (String name : List.of("gate.auxiliary_in", "gate.auxiliary_out")) {
        Tensor w = store.named(name).tensor();
        w.detach().addInPlace(w.grad().orElseThrow(), -1);
      }
    }
    double entropy = -0.25 * Math.log(0.25) - 0.75 * Math.log(0.75);
    assertThat(auxiliaryLoss(layer, x, context).item()).isLessThan(0.7 * 2 * entropy);
    // Then evaluation, which asks the auxiliary router, mostly does what the experts chose.
    int[][] chosen = indices(((ExpertChoice) layer.router().route(x, context)).tokens());
    TokenChoice evaluated =
        (TokenChoice)
            layer.router().route(x, TokenContext.eval(1, 96).withDomains(Tensor.of(tags(96), 96)));
    int[][] served = indices(evaluated.experts());
    int agree = 0;
    for (int t = 0; t < 96; t++) {
      for (int j = 0; j < 4; j++) {
        int e = (t % 3 == 0 ? 4 : 0) + j;
        int token = t;
        boolean taken = Arrays.stream(chosen[e]).anyMatch(i -> i == token);
        agree += taken == (served[t][j] == e) ? 1 : 0;
      }
    }
    assertThat(agree / (96.0 * 4)).isGreaterThan(0.85);
  }

  @Test
  void evaluationWeighsWithTheMainScoresWhatTheAuxiliaryRouterChose() {
    MoeLayer layer = layer(8, 1, Map.of("group-sizes", "5,3"));
    double[][] x = rows(normal(20, D));
    TokenContext eval = TokenContext.eval(1, 20).withDomains(Tensor.of(tags(20), 20));
    TokenChoice plan = (TokenChoice) layer.router().route(matrix(x), eval);
    double[][] in = rows(store.named("gate.auxiliary_in").tensor());
    double[][] out = rows(store.named("gate.auxiliary_out").tensor());
    double[][] s = scores(x);
    int[][] served = indices(plan.experts());
    double[][] weights = rows(plan.weights());
    int none = 0;
    for (int t = 0; t < 20; t++) {
      int m = t % 3 == 0 ? 1 : 0;
      double[] hidden =
          Arrays.stream(Loops.matvec(Arrays.copyOfRange(in, 3 * m, 3 * m + 3), x[t]))
              .map(v -> v * Loops.sigmoid(v))
              .toArray();
      double[] a = Loops.matvec(out, hidden);
      for (int j = 0; j < 5; j++) {
        int e = 5 * m + j;
        boolean wanted = e < (m == 0 ? 5 : 8) && a[e] > 0;
        assertThat(served[t][j]).isEqualTo(wanted ? e : -1);
        assertThat(weights[t][j]).isCloseTo(wanted ? s[t][e] : 0, within(1e-12));
        none += wanted ? 0 : 1;
      }
    }
    assertThat(none).isBetween(1, 99);
  }

  @Test
  void decodingTokenByTokenEqualsOneParallelPass() {
    MoeLayer layer = layer(8, 2, Map.of());
    double[][] x = rows(normal(12, D));
    long[] tags = tags(12);
    double[][] parallel =
        rows(
            layer
                .forward(matrix(x), TokenContext.eval(1, 12).withDomains(Tensor.of(tags, 12)))
                .output());
    for (int t = 0; t < 12; t++) {
      TokenContext one = TokenContext.decode(1, 1).withDomains(Tensor.of(new long[] {tags[t]}, 1));
      double[][] y = rows(layer.forward(matrix(new double[][] {x[t]}), one).output());
      assertThat(y[0]).containsExactly(parallel[t], within(1e-12));
    }
  }

  @Test
  void aModalityIsReadFromDomainsOrIds() {
    Tensor x = normal(6, D);
    long[] domains = {-1, 0, 1, 2, 3, 44};
    TokenContext known =
        TokenContext.eval(1, 6)
            .withDomains(Tensor.of(domains, 6))
            .withIds(Tensor.of(new long[] {1, 99, 100, 101, 5, 700}, 6));
    assertThat(modalities(Map.of(), x, known)).containsExactly(0, 0, 1, 0, 1, 0);
    assertThat(modalities(Map.of("tags", "id", "first-image-id", 100), x, known))
        .containsExactly(0, 0, 1, 1, 0, 1);
    assertThat(modalities(Map.of(), x, TokenContext.eval(1, 6))).containsOnly(0);
    assertThatThrownBy(() -> modalities(Map.of("tags", "domain"), x, known))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("token 0 has the modality -1")
        .hasMessageContaining("2 groups");
    assertThatThrownBy(() -> modalities(Map.of("tags", "domain"), x, TokenContext.eval(1, 6)))
        .hasMessageContaining("needs domains");
    assertThatThrownBy(
            () -> modalities(Map.of("tags", "id", "first-image-id", 1), x, TokenContext.eval(1, 6)))
        .hasMessageContaining("needs token ids");
    TokenContext fractions = TokenContext.eval(1, 6).withDomains(Tensor.zeros(6));
    assertThatThrownBy(() -> modalities(Map.of(), x, fractions)).hasMessageContaining("give I64");
    assertThatThrownBy(() -> TokenContext.eval(2, 6).withDomains(Tensor.of(domains, 6)))
        .hasMessageContaining("there are 12 tokens");
  }

  /** The modality of each token, by whose experts it is offered. */
  private int[] modalities(Map<String, ?> options, Tensor x, TokenContext context) {
    TokenChoice plan = (TokenChoice) layer(4, 1, options).router().route(x, context);
    return Arrays.stream(indices(plan.choices())).mapToInt(row -> row[0] / 2).toArray();
  }

  @Test
  void impossibleGroupsAreRefused() {
    for (String sizes : List.of("4,5", "8,0", "4;4", "four,4", ",8")) {
      assertThatThrownBy(() -> layer(8, 1, Map.of("group-sizes", sizes)))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("group-sizes are \"" + sizes + "\"")
          .hasMessageNotContaining("\n");
    }
    assertThatThrownBy(() -> layer(8, 1, Map.of("tags", "id")))
        .hasMessageContaining("first-image-id above 0");
    assertThatThrownBy(() -> layer(8, 1, Map.of("auxiliary-loss", -1)))
        .hasMessageContaining("auxiliary loss -1.0");
    assertThat(Validity.check(layer(8, 1, Map.of()).config(), Validity.Use.CAUSAL_TRAINING, false))
        .singleElement()
        .asString()
        .contains("looks at other tokens in training");
  }
}
