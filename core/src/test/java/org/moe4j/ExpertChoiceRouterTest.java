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

/** What S19 says experts must do when they choose. */
class ExpertChoiceRouterTest extends InScope {
  private static final int E = 6;

  private final ParameterStore store = wide(1);

  private MoeConfig config(int k, Map<String, ?> options) {
    return MoeConfig.builder(E, 4, E, k)
        .router("expert-choice", options)
        .form(ExpertForm.GELU)
        .init(InitScheme.T5)
        .build();
  }

  /** A layer whose router's logits are its inputs. */
  private MoeLayer layer(int k, Map<String, ?> options) {
    store.close();
    MoeLayer layer = new MoeLayer(config(k, options), store);
    double[][] eye = new double[E][E];
    for (int e = 0; e < E; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return layer;
  }

  private ExpertChoice plan(int k, Map<String, ?> options, Tensor x, TokenContext context) {
    return (ExpertChoice) layer(k, options).router().route(x, context);
  }

  /** Tokens of each expert [E][k], by repeated search: the first among equals. */
  private static int[][] brute(double[][] z, int from, int to, int k) {
    int[][] chosen = new int[E][];
    for (int e = 0; e < E; e++) {
      int expert = e;
      double[] column =
          IntStream.range(from, to).mapToDouble(t -> Loops.softmax(z[t])[expert]).toArray();
      chosen[e] = Arrays.stream(Loops.top(column, k)).map(i -> i + from).toArray();
    }
    return chosen;
  }

  private double[][] outputs(double[][] x, int[][] chosen) {
    double[][] y = new double[x.length][E];
    Tensor in = store.named("experts.w_in").tensor();
    Tensor out = store.named("experts.w_out").tensor();
    for (int e = 0; e < chosen.length; e++) {
      double[][] up = rows(in.select(0, e));
      double[][] down = rows(out.select(0, e));
      for (int t : chosen[e]) {
        double[] f = Loops.expert(ExpertForm.GELU, up, down, new double[0], new double[0], x[t]);
        double gate = Loops.softmax(x[t])[e];
        for (int j = 0; j < E; j++) {
          y[t][j] += gate * f[j];
        }
      }
    }
    return y;
  }

  @Test
  void equalsBruteForceInChoiceTiesAndOutput() {
    double[][] x = rows(normal(24, E));
    // Equal tokens: the earlier one must win.
    for (int t : new int[] {5, 11, 17, 23}) {
      x[t] = x[2];
    }
    for (int k : new int[] {1, 2, 3}) {
      MoeLayer layer = layer(k, Map.of());
      MoeOutput out = layer.forward(matrix(x), TokenContext.eval(2, 12));
      int[][] expected = brute(x, 0, 24, 4 * k);
      assertThat(indices(((ExpertChoice) out.routing()).tokens())).isDeepEqualTo(expected);
      same(out.output(), matrix(outputs(x, expected)), 1e-12);
    }
  }

  @Test
  void everyExpertTakesItsShare() {
    Map<Map<String, ?>, Integer> shares =
        Map.of(
            Map.of(), 7,
            Map.of("factor", 0.5), 3,
            Map.of("rounding", "ceil"), 7,
            Map.of("rounding", "floor", "factor", 0.99), 6,
            Map.of("multiple", 4), 8,
            Map.of("minimum", 9), 9,
            Map.of("minimum", 99), 20);
    shares.forEach(
        (options, share) -> {
          Tensor x = normal(20, E);
          TokenContext context = TokenContext.eval(1, 20);
          ExpertChoice plan = plan(2, options, x, context);
          assertThat(plan.capacity()).as(options.toString()).isEqualTo(share.longValue());
          RoutingStats stats = RoutingStats.of(plan, context);
          assertThat(stats.served()).containsOnly(share);
          assertThat(stats.imbalance()).isEqualTo(1);
          for (int[] row : indices(plan.tokens())) {
            assertThat(row).doesNotHaveDuplicates();
          }
        });
  }

  @Test
  void permutedTokensArePermutedInTheOutput() {
    MoeLayer layer = layer(2, Map.of());
    double[][] x = rows(normal(30, E));
    List<Integer> order = new ArrayList<>(IntStream.range(0, 30).boxed().toList());
    Collections.shuffle(order, new Random(4));
    double[][] moved = order.stream().map(t -> x[t]).toArray(double[][]::new);
    double[][] y = rows(layer.forward(matrix(x), TokenContext.eval(1, 30)).output());
    double[][] z = rows(layer.forward(matrix(moved), TokenContext.eval(1, 30)).output());
    for (int t = 0; t < 30; t++) {
      assertThat(z[t]).containsExactly(y[order.get(t)], within(1e-12));
    }
  }

  @Test
  void withAllTokensForAllExpertsItIsTheDenseMixture() {
    MoeLayer layer = layer(E, Map.of());
    double[][] x = rows(normal(9, E));
    int[][] all = new int[E][];
    Arrays.setAll(all, e -> IntStream.range(0, 9).toArray());
    same(
        layer.forward(matrix(x), TokenContext.eval(1, 9)).output(), matrix(outputs(x, all)), 1e-12);
  }

  @Test
  void theGateLearnsThroughTheChosenScores() {
    MoeLayer layer = layer(1, Map.of());
    Tensor x = normal(12, E);
    Tensor target = normal(12, E);
    slopes(
        "gate",
        store.named("gate.weight").tensor(),
        1e-6,
        () -> layer.forward(x, TokenContext.eval(1, 12)).output().mul(target).sum());
    // A token that nobody takes teaches nothing: its row of the logits has no gradient.
    Tensor z = normal(12, E).requiresGrad(true);
    ExpertChoice plan = (ExpertChoice) layer.router().route(z, TokenContext.eval(1, 12));
    plan.weights().sum().backward();
    double[][] gradient = rows(z.grad().orElseThrow());
    boolean[] taken = new boolean[12];
    Arrays.stream(indices(plan.tokens()))
        .flatMapToInt(Arrays::stream)
        .forEach(t -> taken[t] = true);
    for (int t = 0; t < 12; t++) {
      assertThat(Arrays.stream(gradient[t]).anyMatch(g -> g != 0)).isEqualTo(taken[t]);
    }
    assertThat(taken).contains(false);
  }

  @Test
  void aLaterTokenChangesAnEarlierOnesExperts() {
    double[][] x = rows(normal(12, E));
    double[][] before = rows(layer(1, Map.of()).forward(matrix(x), eval(12)).output());
    x[11] = new double[] {9, -9, -9, -9, -9, -9};
    MoeLayer layer = layer(1, Map.of());
    double[][] after = rows(layer.forward(matrix(x), eval(12)).output());
    boolean leaked = false;
    for (int t = 0; t < 11; t++) {
      leaked |= !Arrays.equals(before[t], after[t]);
    }
    assertThat(leaked).isTrue();
    assertThatThrownBy(() -> layer.forward(matrix(x), TokenContext.decode(1, 12)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("cannot decode");
    MoeConfig config = config(1, Map.of());
    assertThatThrownBy(() -> Validity.check(config, Validity.Use.CAUSAL_TRAINING, false))
        .hasMessageContaining("not for causal training");
    assertThat(Validity.check(config, Validity.Use.CAUSAL_TRAINING, true)).hasSize(1);
    assertThat(Validity.check(config, Validity.Use.ENCODER, false)).isEmpty();
  }

  private static TokenContext eval(long tokens) {
    return TokenContext.eval(1, tokens);
  }

  @Test
  void groupsDoNotSeeEachOther() {
    double[][] x = rows(normal(24, E));
    for (Map<String, ?> options :
        List.<Map<String, ?>>of(
            Map.of("group", "sequence"), Map.of("group", "tokens", "group-tokens", 12))) {
      ExpertChoice plan = plan(2, options, matrix(x), TokenContext.eval(2, 12));
      int[][] first = brute(x, 0, 12, 4);
      int[][] second = brute(x, 12, 24, 4);
      int[][] both = new int[E][];
      Arrays.setAll(
          both, e -> IntStream.concat(Arrays.stream(first[e]), Arrays.stream(second[e])).toArray());
      assertThat(indices(plan.tokens())).isDeepEqualTo(both);
    }
    assertThatThrownBy(
            () ->
                plan(
                    2,
                    Map.of("group", "tokens", "group-tokens", 7),
                    matrix(x),
                    TokenContext.eval(2, 12)))
        .hasMessageContaining("24 tokens are not divisible into groups of 7");
  }

  @Test
  void paddingIsAsIfItWereNotThere() {
    for (Map<String, ?> options : List.<Map<String, ?>>of(Map.of(), Map.of("cap", 2))) {
      double[][] x = rows(normal(15, E));
      byte[] real = new byte[15];
      List<double[]> alone = new ArrayList<>();
      for (int t = 0; t < 15; t++) {
        real[t] = (byte) (t % 5 == 1 ? 0 : 1);
        if (real[t] == 1) {
          alone.add(x[t]);
        }
      }
      TokenContext context =
          TokenContext.eval(1, 15).withPadding(Tensor.of(real, 15).to(DType.BOOL));
      MoeLayer layer = layer(2, options);
      double[][] padded = rows(layer.forward(matrix(x), context).output());
      double[][] plain =
          rows(layer.forward(matrix(alone.toArray(double[][]::new)), eval(12)).output());
      int i = 0;
      for (int t = 0; t < 15; t++) {
        if (real[t] == 1) {
          assertThat(padded[t]).containsExactly(plain[i++], within(1e-12));
        } else {
          assertThat(padded[t]).containsOnly(0);
        }
      }
      byte[] none = new byte[15];
      TokenContext empty = TokenContext.eval(1, 15).withPadding(Tensor.of(none, 15).to(DType.BOOL));
      assertThat(layer.forward(matrix(x), empty).output().abs().sum().item()).isZero();
    }
  }

  @Test
  void aCapLimitsTheExpertsOfAToken() {
    double[][] scores = rows(normal(60, E).mul(0.1));
    Tensor x = matrix(scores);
    for (String solver : List.of("annealed", "dykstra")) {
      Map<String, ?> options =
          Map.of(
              "cap",
              2,
              "cap-solver",
              solver,
              "cap-entropy",
              solver.equals("dykstra") ? 0.01 : 0.001,
              "cap-iterations",
              solver.equals("dykstra") ? 1000 : 0);
      ExpertChoice plan = plan(1, options, x, eval(60));
      assertThat(over(plan, 60, 2)).isLessThanOrEqualTo(0.05);
      assertThat(RoutingStats.of(plan, eval(60)).served()).containsOnly(10);
      // Weights are still the softmax scores, not the programme's solution.
      int[][] tokens = indices(plan.tokens());
      double[][] weights = rows(plan.weights());
      for (int e = 0; e < E; e++) {
        for (int c = 0; c < tokens[e].length; c++) {
          assertThat(weights[e][c])
              .isCloseTo(Loops.softmax(scores[tokens[e][c]])[e], within(1e-12));
        }
      }
    }
    for (int limit = 1; limit <= 3; limit++) {
      Tensor far = normal(60, E);
      double free = over(plan(limit, Map.of(), far, eval(60)), 60, limit);
      double capped = over(plan(limit, Map.of("cap", limit), far, eval(60)), 60, limit);
      assertThat(free).isGreaterThan(0.03);
      assertThat(capped).as("cap %d, %f without", limit, free).isLessThanOrEqualTo(free / 4);
    }
  }

  private static double over(ExpertChoice plan, int tokens, int limit) {
    int[] count = new int[tokens];
    Arrays.stream(indices(plan.tokens())).flatMapToInt(Arrays::stream).forEach(t -> count[t]++);
    return Arrays.stream(count).filter(c -> c > limit).count() / (double) tokens;
  }

  @Test
  void codesOptionsAct() {
    Tensor x = normal(12, E);
    double[] plain =
        plan(2, Map.of(), x, TokenContext.train(1, 12, new RandomSource(3))).weights().toDoubles();
    for (Map<String, ?> options :
        List.<Map<String, ?>>of(Map.of("jitter", 0.1), Map.of("noise", 1))) {
      TokenContext training = TokenContext.train(1, 12, new RandomSource(3));
      assertThat(plan(2, options, x, training).weights().toDoubles()).isNotEqualTo(plain);
      assertThat(plan(2, options, x, eval(12)).weights().toDoubles())
          .isEqualTo(plan(2, Map.of(), x, eval(12)).weights().toDoubles());
    }
    MoeLayer biased = layer(2, Map.of("bias", true));
    store.named("gate.bias").tensor().detach().copyInPlace(normal(E));
    assertThat(((ExpertChoice) biased.router().route(x, eval(12))).weights().toDoubles())
        .isNotEqualTo(plain);
    assertThat(biased.config().parameters()).isEqualTo(store.count(p -> true));
  }

  @Test
  void impossibleSettingsAreRefused() {
    refused(2, Map.of("factor", 0), "top-k times factor is 0.0");
    refused(2, Map.of("factor", 3.5), "is 7.0 experts per token of 6");
    refused(3, Map.of("cap", 2), "a cap of 2 experts per token and 3.0");
    refused(2, Map.of("cap", -1), "a cap of -1");
    refused(2, Map.of("multiple", 0), "multiple 0");
    refused(2, Map.of("jitter", 1), "give 0 <= jitter < 1");
    assertThatThrownBy(() -> plan(1, Map.of("minimum", 0), normal(2, E), eval(2)))
        .hasMessageContaining("leaves no slot for 2 tokens and 6 experts");
    assertThatThrownBy(() -> plan(1, Map.of("cap", 1), normal(5, E), eval(5)))
        .hasMessageContaining("has no solution");
    assertThatThrownBy(
            () ->
                Validity.check(
                    config(2, Map.of()).toBuilder()
                        .capacity(Capacity.megablocks(1))
                        .dispatch(Dispatch.BUFFERS)
                        .build(),
                    Validity.Use.ENCODER,
                    false))
        .hasMessageContaining("each of its experts takes a fixed number of tokens");
  }

  private void refused(int k, Map<String, ?> options, String message) {
    assertThatThrownBy(() -> layer(k, options))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
