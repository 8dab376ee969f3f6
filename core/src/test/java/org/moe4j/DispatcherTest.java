package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** All dispatchers against the one-hot reference, and that one against a loop. */
class DispatcherTest extends InScope {
  private static final int D = 6;
  private static final int H = 10;

  private static FeedForwardExperts experts(ExpertForm form, int count, ParameterStore store) {
    FeedForwardExperts experts =
        new FeedForwardExperts(form, count, D, H, 0, InitScheme.T5, store, 0);
    experts.inBias().ifPresent(b -> fill(b, 1));
    experts.outBias().ifPresent(b -> fill(b, 2));
    return experts;
  }

  private static void fill(Parameter p, long seed) {
    p.tensor()
        .detach()
        .copyInPlace(new RandomSource(seed).normal(0, 1, p.tensor().dtype(), p.tensor().shape()));
  }

  /** What a random token-choice routing of {@code tokens} looks like; some choices are dropped. */
  private TokenChoice choice(int tokens, int experts, int k, double dropped, Gating gating) {
    Random r = new Random(tokens * 31L + experts * 7L + k);
    long[] choices = new long[tokens * k];
    byte[] kept = new byte[tokens * k];
    for (int t = 0; t < tokens; t++) {
      int[] order = Loops.top(r.doubles(experts).toArray(), k);
      for (int j = 0; j < k; j++) {
        choices[t * k + j] = order[j];
        kept[t * k + j] = (byte) (r.nextDouble() < dropped ? 0 : 1);
      }
    }
    Tensor weights = random.uniform(0.1, 1, DType.F32, tokens, k).requiresGrad(true);
    return TokenChoice.of(experts, Tensor.of(choices, tokens, k), weights, gating, Evidence.none())
        .keeping(Tensor.of(kept, tokens, k).to(DType.BOOL));
  }

  private static Tensor run(Dispatch how, Tensor x, Routing r, Experts experts) {
    return how.dispatcher().apply(x, r, experts, TokenContext.eval(1, x.size(0)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7, 128, 1000})
  void agreeInOutputsAndGradients(int tokens) {
    for (int count : new int[] {1, 2, 8, 64}) {
      ParameterStore store = new ParameterStore(5);
      FeedForwardExperts experts = experts(ExpertForm.SWIGLU, count, store);
      for (int k : new int[] {1, 2, 4}) {
        if (k > count) {
          continue;
        }
        Tensor x = random.normal(tokens, D).requiresGrad(true);
        TokenChoice r = choice(tokens, count, k, k == 2 ? 0.3 : 0, Gating.SOFTMAX_TOP_K);
        List<Tensor> leaves =
            List.of(x, experts.in().tensor(), experts.out().tensor(), r.selected());
        List<Tensor> reference = gradients(Dispatch.ONE_HOT, x, r, experts, leaves);
        for (Dispatch how : List.of(Dispatch.DROPLESS, Dispatch.BUFFERS)) {
          List<Tensor> got = gradients(how, x, r, experts, leaves);
          for (int i = 0; i < got.size(); i++) {
            same(got.get(i), reference.get(i), i == 0 ? 1e-5 : 1e-4);
          }
        }
      }
    }
  }

  /** The output and the gradients of all leaves for a fixed weighting of the output. */
  private static List<Tensor> gradients(
      Dispatch how, Tensor x, TokenChoice r, Experts experts, List<Tensor> leaves) {
    leaves.forEach(Tensor::clearGrad);
    Tensor y = run(how, x, r.keeping(r.kept()), experts);
    Tensor weighting = new RandomSource(3).normal(y.shape());
    Tensor loss = y.mul(weighting).sum();
    List<Tensor> out = new ArrayList<>(List.of(y));
    if (loss.requiresGrad()) {
      loss.backward();
    }
    for (Tensor leaf : leaves) {
      out.add(leaf.grad().map(Tensor::copy).orElseGet(() -> leaf.detach().mul(0)));
    }
    return out;
  }

  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void equalALoopOverTokensForEveryForm(Dispatch how) {
    for (ExpertForm form :
        List.of(
            ExpertForm.SWIGLU,
            ExpertForm.GEGLU.withBiases(true),
            ExpertForm.RELU,
            ExpertForm.GELU.withBiases(true),
            ExpertForm.GPT_OSS.withClamp(new ExpertForm.Clamp(0.5, 1)),
            ExpertForm.GPT_OSS.withBiases(false).withClamp(new ExpertForm.Clamp(0.5, -2)),
            new ExpertForm(Activation.GELU_TANH, false, false))) {
      for (Gating gating : List.of(Gating.SOFTMAX_TOP_K, Gating.LLAMA4)) {
        ParameterStore store = wide(5);
        FeedForwardExperts experts = experts(form, 4, store);
        Tensor x = normal(9, D);
        TokenChoice r = choice(9, 4, 2, 0.2, gating);
        double[][] expected = loop(experts, form, rows(x), r);
        same(run(how, x, r, experts), matrix(expected), 1e-10);
      }
    }
  }

  private static double[][] loop(
      FeedForwardExperts experts, ExpertForm form, double[][] x, TokenChoice r) {
    boolean onInput = r.gating().weightOn() == Gating.WeightOn.INPUT;
    double[][] y = new double[x.length][D];
    for (int t = 0; t < x.length; t++) {
      for (int j = 0; j < r.k(); j++) {
        int e = indices(r.experts())[t][j];
        double w = rows(r.weights())[t][j];
        if (e < 0) {
          continue;
        }
        double[] in = Arrays.stream(x[t]).map(v -> onInput ? v * w : v).toArray();
        double[] out =
            Loops.expert(
                form,
                rows(experts.in().tensor().select(0, e)),
                rows(experts.out().tensor().select(0, e)),
                bias(experts.inBias(), e),
                bias(experts.outBias(), e),
                in);
        for (int i = 0; i < D; i++) {
          y[t][i] += onInput ? out[i] : w * out[i];
        }
      }
    }
    return y;
  }

  private static double[] bias(Optional<Parameter> stacked, int expert) {
    return stacked.map(b -> b.tensor().select(0, expert).toDoubles()).orElse(new double[0]);
  }

  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void expertsThatGetNothingHaveZeroGradient(Dispatch how) {
    ParameterStore store = new ParameterStore(5);
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 4, store);
    Tensor x = random.normal(6, D);
    TokenChoice r =
        TokenChoice.of(
            4,
            Tensor.of(new long[] {2, 2, 2, 2, 2, 2}, 6, 1),
            Tensor.ones(6, 1),
            Gating.FIXED,
            Evidence.none());
    run(how, x, r, experts).square().sum().backward();
    for (int e = 0; e < 4; e++) {
      double size = experts.in().tensor().grad().orElseThrow().select(0, e).abs().sum().item();
      if (e == 2) {
        assertThat(size).isPositive();
      } else {
        assertThat(size).isZero();
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void whenEverythingIsDroppedTheOutputIsZero(Dispatch how) {
    FeedForwardExperts experts = experts(ExpertForm.GELU.withBiases(true), 3, wide(1));
    TokenChoice r = choice(5, 3, 2, 1.1, Gating.SOFTMAX_TOP_K);
    assertThat(run(how, normal(5, D), r, experts).toDoubles()).containsOnly(0);
  }

  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void expertsMayChooseTokens(Dispatch how) {
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 3, wide(1));
    Tensor x = normal(5, D);
    long[] tokens = {0, 4, 2, -1, 2, 1};
    Tensor weights = random.uniform(0, 1, DType.F64, 3, 2);
    ExpertChoice r =
        new ExpertChoice(Tensor.of(tokens, 3, 2), weights, Gating.FIXED, Evidence.none());
    double[][] expected = new double[5][D];
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i] >= 0) {
        double[] out =
            Loops.expert(
                ExpertForm.SWIGLU,
                rows(experts.in().tensor().select(0, i / 2)),
                rows(experts.out().tensor().select(0, i / 2)),
                new double[0],
                new double[0],
                rows(x)[(int) tokens[i]]);
        for (int c = 0; c < D; c++) {
          expected[(int) tokens[i]][c] += weights.toDoubles()[i] * out[c];
        }
      }
    }
    same(run(how, x, r, experts), matrix(expected), 1e-12);
  }

  @Test
  void theReferenceMixesDensely() {
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 3, wide(1));
    Tensor x = normal(4, D);
    Tensor weights = normal(4, 3).softmax(-1);
    Tensor all = Tensor.of(new long[] {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}, 4, 3);
    TokenChoice chosen = TokenChoice.of(3, all, weights, Gating.SOFTMAX_TOP_K, Evidence.none());
    same(
        run(Dispatch.ONE_HOT, x, new Blend.Dense(weights, Evidence.none()), experts),
        run(Dispatch.DROPLESS, x, chosen, experts),
        1e-12);
  }

  @Test
  void theReferenceMixesSlotsPerGroup() {
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 2, wide(1));
    int groups = 2;
    int size = 3;
    int slots = 4; // two per expert
    Tensor x = normal(6, D); // two groups of three
    Tensor dispatch = normal(groups, size, slots).softmax(1);
    Tensor combine = normal(groups, size, slots).softmax(2);
    double[][] expected = new double[groups * size][D];
    double[] dis = dispatch.toDoubles();
    double[] com = combine.toDoubles();
    for (int g = 0; g < groups; g++) {
      for (int s = 0; s < slots; s++) {
        double[] in = new double[D];
        for (int t = 0; t < size; t++) {
          for (int c = 0; c < D; c++) {
            in[c] += dis[(g * size + t) * slots + s] * rows(x)[g * size + t][c];
          }
        }
        double[] out =
            Loops.expert(
                ExpertForm.SWIGLU,
                rows(experts.in().tensor().select(0, s / 2)),
                rows(experts.out().tensor().select(0, s / 2)),
                new double[0],
                new double[0],
                in);
        for (int t = 0; t < size; t++) {
          for (int c = 0; c < D; c++) {
            expected[g * size + t][c] += com[(g * size + t) * slots + s] * out[c];
          }
        }
      }
    }
    Blend.Slots r = new Blend.Slots(2, dispatch, combine, Evidence.none());
    same(run(Dispatch.ONE_HOT, x, r, experts), matrix(expected), 1e-12);
  }

  @Test
  void twoRunsAreBitIdentical() {
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 8, new ParameterStore(1));
    Tensor x = random.normal(200, D);
    TokenChoice r = choice(200, 8, 2, 0, Gating.SOFTMAX_TOP_K);
    float[] once = run(Dispatch.DROPLESS, x, r, experts).toFloats();
    assertThat(run(Dispatch.DROPLESS, x, r, experts).toFloats()).containsExactly(once);
  }

  @Test
  void impossibleRoutingsAreRefused() {
    FeedForwardExperts experts = experts(ExpertForm.SWIGLU, 3, new ParameterStore(1));
    TokenChoice outside =
        TokenChoice.of(
            3, Tensor.of(new long[] {3}, 1, 1), Tensor.ones(1, 1), Gating.FIXED, Evidence.none());
    assertThatThrownBy(() -> run(Dispatch.DROPLESS, random.normal(1, D), outside, experts))
        .isInstanceOf(MoeException.class)
        .hasMessage("the routing names expert 3 of 3");
    assertThatThrownBy(() -> run(Dispatch.BUFFERS, random.normal(2, D), outside, experts))
        .hasMessageContaining("the routing is for 1 tokens, the input has 2");
    Routing many =
        new Retrieval(9, Tensor.of(new long[] {8}, 1, 1), Tensor.ones(1, 1), Evidence.none());
    for (Dispatch how : Dispatch.values()) {
      assertThatThrownBy(() -> run(how, random.normal(1, D), many, experts))
          .hasMessageContaining("gather by id");
    }
  }
}
