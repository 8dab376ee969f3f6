package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** Fine-grained experts beside shared ones (S36). */
class DeepSeekMoeTest extends InScope {
  private static final int D = 6;

  private static MoeConfig.Builder coarse(int experts, int k) {
    return MoeConfig.builder(D, 8, experts, k).router("deepseek-moe").init(InitScheme.T5);
  }

  @Test
  void uncutAndUnsharedItIsPlainTopKWithoutRenormalisation() {
    MoeConfig config = new FineGrained(1, 0).of(coarse(4, 2).build());
    assertThat(config).isEqualTo(coarse(4, 2).build());
    Router router = new MoeLayer(config, wide(1)).router();
    TokenChoice r = (TokenChoice) router.route(normal(9, D), TokenContext.eval(1, 9));
    double[][] p = rows(r.evidence().probabilities().orElseThrow());
    for (int t = 0; t < 9; t++) {
      int[] top = Loops.top(p[t], 2);
      assertThat(rows(r.weights())[t])
          .containsExactly(new double[] {p[t][top[0]], p[t][top[1]]}, within(1e-12));
    }
  }

  @Test
  void costsStayWhatTheyWere() {
    MoeConfig coarse = coarse(16, 2).build();
    MoeConfig fine = new FineGrained(4, 1).of(coarse);
    assertThat(fine.experts()).isEqualTo(63);
    assertThat(fine.topK()).isEqualTo(7);
    assertThat(fine.expertWidth()).isEqualTo(2);
    assertThat(fine.sharedWidth()).isEqualTo(2);
    assertThat(fine.parameters() - 63L * D).isEqualTo(coarse.parameters() - 16L * D);
    assertThat(fine.activeParameters() - 63L * D).isEqualTo(coarse.activeParameters() - 16L * D);
  }

  /** SwiGLU adds up over hidden channels: m slices with one gate are the whole expert. */
  @Test
  void slicesOfAnExpertWithEqualGatesAreTheExpert() {
    int m = 4;
    MoeConfig one =
        coarse(3, 1).router("deepseek-moe", Map.of("renormalise", "before-drop")).build();
    MoeConfig scaled =
        coarse(3, 1)
            .router("deepseek-moe", Map.of("renormalise", "before-drop", "scale", m))
            .build();
    MoeConfig cut = new FineGrained(m, 0).of(scaled);
    ParameterStore a = wide(1);
    ParameterStore b = wide(2);
    MoeLayer whole = new MoeLayer(one, a);
    MoeLayer sliced = new MoeLayer(cut, b);
    long h = cut.expertWidth();
    for (int e = 0; e < 3; e++) {
      Tensor in = values(a, "experts.w_in", e);
      Tensor out = values(a, "experts.w_out", e);
      for (int s = 0; s < m; s++) {
        int fine = e * m + s;
        List<Tensor> halves = List.of(in.narrow(0, s * h, h), in.narrow(0, m * h + s * h, h));
        values(b, "experts.w_in", fine).copyInPlace(Tensor.cat(halves, 0));
        values(b, "experts.w_out", fine).copyInPlace(out.narrow(1, s * h, h));
        values(b, "gate.weight", fine).copyInPlace(values(a, "gate.weight", e));
      }
    }
    Tensor x = normal(9, D);
    TokenContext context = TokenContext.eval(1, 9);
    same(sliced.forward(x, context).output(), whole.forward(x, context).output(), 1e-12);
  }

  private static Tensor values(ParameterStore store, String name, int expert) {
    return store.named(name).tensor().detach().select(0, expert);
  }

  @Test
  void theSharedNetworkIsTheSumOfItsExperts() {
    MoeConfig config = coarse(4, 2).sharedExperts(2).build();
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config, store);
    Tensor x = normal(5, D);
    double[][] together = rows(layer.shared().orElseThrow().forward(x));
    double[][] in = rows(store.named("shared.w_in").tensor());
    double[][] out = rows(store.named("shared.w_out").tensor());
    int h = config.expertWidth();
    for (int t = 0; t < 5; t++) {
      double[] sum = new double[D];
      double[] hidden = Loops.matvec(in, rows(x)[t]);
      for (int s = 0; s < 2; s++) {
        for (int c = s * h; c < (s + 1) * h; c++) {
          double value = Loops.activation(Activation.SILU, hidden[c]) * hidden[2 * h + c];
          for (int i = 0; i < D; i++) {
            sum[i] += out[i][c] * value;
          }
        }
      }
      assertThat(together[t]).containsExactly(sum, within(1e-12));
    }
  }

  @Test
  void fractionsSumToTheNumberOfExpertsAndCollapseCostsThatMuch() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(coarse(8, 1).build(), store);
    TokenContext context = TokenContext.train(2, 6, new RandomSource(1));
    FractionBalance loss = FractionBalance.deepSeekExpert(true);
    Routing any = layer.router().route(normal(12, D), context);
    for (double[] sequence : rows(loss.parts(any, context).fraction())) {
      double sum = 0;
      for (double share : sequence) {
        assertThat(share).isNotNegative();
        sum += 8 * share;
      }
      assertThat(sum).isCloseTo(8, within(1e-12));
    }
    store.named("gate.weight").tensor().detach().fillInPlace(0);
    values(store, "gate.weight", 5).fillInPlace(100);
    Tensor positive = normal(12, D).abs().add(1);
    assertThat(loss.loss(layer.router().route(positive, context), context).item())
        .isCloseTo(8, within(1e-9));
  }

  @Test
  void theDeviceLossReadsTheRoutersGroups() {
    MoeConfig config =
        coarse(8, 2).router("deepseek-moe", Map.of("groups", 4, "kept-groups", 4)).build();
    TokenContext context = TokenContext.train(2, 6, new RandomSource(1));
    Routing r = new MoeLayer(config, wide(1)).router().route(normal(12, D), context);
    Balance own = BalanceRegistry.named("deepseek-device");
    assertThat(own.loss(r, context).item())
        .isCloseTo(new DeviceBalance(4, Grouping.SEQUENCE).loss(r, context).item(), within(1e-12));
    Routing single =
        new MoeLayer(coarse(8, 2).build(), wide(1)).router().route(normal(12, D), context);
    assertThat(own.loss(single, context).item()).isCloseTo(1, within(1e-12));
  }

  @Test
  void impossibleCutsAreRefused() {
    assertThatThrownBy(() -> new FineGrained(3, 0).of(coarse(4, 2).build()))
        .isInstanceOf(MoeException.class)
        .hasMessage("expert width 8 does not divide into 3 segments");
    assertThatThrownBy(() -> new FineGrained(2, 4).of(coarse(4, 2).build()))
        .hasMessageContaining("4 shared experts of the 4 that a token visits leave none");
    assertThatThrownBy(() -> new FineGrained(0, 0)).hasMessageContaining("cut into 0");
    assertThatThrownBy(() -> new BalanceTerm(FractionBalance.deepSeekExpert(true), -0.1))
        .hasMessageContaining("give at least 0");
  }
}
