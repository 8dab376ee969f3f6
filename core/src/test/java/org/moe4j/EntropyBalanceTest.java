package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** LIMoE's local and global entropy losses per modality (S20). */
class EntropyBalanceTest extends InScope {
  private static final int E = 6;
  private static final int T = 10;
  private static final long[] TAGS = {0, 0, 1, 0, 1, 1, 0, -1, 0, 1};

  private static final Balance LOCAL = LocalEntropyBalance.standard();

  private static Balance global(double softMinimum) {
    return GlobalEntropyBalance.atLeast(softMinimum, E, -1);
  }

  private static TokenContext tagged(long... tags) {
    return TokenContext.eval(1, tags.length).withDomains(Tensor.of(tags));
  }

  private static TokenChoice route(Tensor logits) {
    Tensor p = logits.softmax(-1);
    Tensor choices = Selection.top(p, 1);
    return TokenChoice.of(
        E,
        choices,
        p.gather(1, choices),
        Gating.SOFTMAX_TOP_K,
        Evidence.of(logits, p, p, p.detach()));
  }

  private static double at(Balance loss, Tensor logits, long... tags) {
    return loss.loss(route(logits), tagged(tags)).item();
  }

  private static double entropy(double[] p) {
    return -Arrays.stream(p).map(v -> v == 0 ? 0 : v * Math.log(v)).sum();
  }

  private static double[] mean(double[][] p, long tag, long[] tags) {
    double[] mean = new double[E];
    double n = Arrays.stream(tags).filter(m -> m == tag).count();
    for (int t = 0; t < tags.length; t++) {
      for (int e = 0; e < E && tags[t] == tag; e++) {
        mean[e] += p[t][e] / n;
      }
    }
    return mean;
  }

  /** Token t is sure of expert {@code experts[t]}. */
  private static Tensor sure(int... experts) {
    double[][] z = new double[experts.length][E];
    for (int t = 0; t < experts.length; t++) {
      z[t][experts[t]] = 1000;
    }
    return matrix(z);
  }

  @Test
  void valuesOfUniformAndSureTokens() {
    Tensor uniform = Tensor.zeros(DType.F64, Device.CPU, 4, E);
    assertThat(at(LOCAL, uniform, 0, 0, 0, 0)).isCloseTo(Math.log(E), within(1e-12));
    assertThat(at(global(E), uniform, 0, 0, 0, 0)).isCloseTo(0, within(1e-12));
    assertThat(at(global(3), uniform, 0, 0, 0, 0)).isZero();
    Tensor one = sure(2, 2, 2, 2);
    assertThat(at(LOCAL, one, 0, 0, 0, 0)).isCloseTo(0, within(1e-12));
    assertThat(at(global(3), one, 0, 0, 0, 0)).isCloseTo(Math.log(3), within(1e-12));
    Tensor two = sure(2, 4, 4, 2);
    assertThat(at(LOCAL, two, 0, 0, 0, 0)).isCloseTo(0, within(1e-12));
    // ln S - ln 2
    assertThat(at(global(3), two, 0, 0, 0, 0)).isCloseTo(Math.log(1.5), within(1e-12));
    assertThat(at(global(2), two, 0, 0, 0, 0)).isCloseTo(0, within(1e-12));
  }

  @Test
  void theSumOverModalitiesEqualsTheLoop() {
    Tensor z = normal(T, E).mul(2);
    double[][] p = rows(z.softmax(-1));
    double local = 0;
    double spread = 0;
    for (long m = 0; m < 2; m++) {
      double n = 0;
      double sum = 0;
      for (int t = 0; t < T; t++) {
        if (TAGS[t] == m) {
          n++;
          sum += entropy(p[t]);
        }
      }
      local += sum / n;
      spread += Math.max(0, Math.log(5) - entropy(mean(p, m, TAGS)));
    }
    assertThat(at(LOCAL, z, TAGS)).isCloseTo(local, within(1e-12));
    assertThat(at(global(5), z, TAGS)).isCloseTo(spread, within(1e-12));
    assertThat(at(new LocalEntropyBalance(0), z, TAGS) + at(new LocalEntropyBalance(1), z, TAGS))
        .isCloseTo(local, within(1e-12));
  }

  @Test
  void gradientsHaveTheClosedForms() {
    Tensor z = normal(T, E).mul(2).requiresGrad(true);
    TokenContext context = tagged(TAGS);
    slopes("local", z, 1e-6, () -> LOCAL.loss(route(z), context));
    slopes("global", z, 1e-6, () -> global(E).loss(route(z), context));
    LOCAL.loss(route(z), context).backward();
    double[][] g = rows(z.grad().orElseThrow());
    double[][] p = rows(z.detach().softmax(-1));
    z.clearGrad();
    global(E).loss(route(z), context).backward();
    double[][] spread = rows(z.grad().orElseThrow());
    for (int t = 0; t < T; t++) {
      long tag = TAGS[t];
      double n = Arrays.stream(TAGS).filter(m -> m == tag).count();
      double[] mean = mean(p, tag, TAGS);
      double cross = 0;
      for (int e = 0; e < E; e++) {
        cross += p[t][e] * Math.log(mean[e]);
      }
      for (int e = 0; e < E; e++) {
        double local = tag < 0 ? 0 : -p[t][e] * (Math.log(p[t][e]) + entropy(p[t])) / n;
        double own = tag < 0 ? 0 : p[t][e] * (Math.log(mean[e]) - cross) / n;
        assertThat(g[t][e]).isCloseTo(local, within(1e-12));
        assertThat(spread[t][e]).isCloseTo(own, within(1e-12));
      }
    }
    z.clearGrad();
    global(1.2).loss(route(z), context).backward();
    assertThat(z.grad().orElseThrow().toDoubles()).containsOnly(0);
  }

  @Test
  void modalitiesDoNotSeeEachOther() {
    Tensor z = normal(T, E);
    Tensor order = Tensor.of(new long[] {3, 1, 4, 0, 9, 5, 8, 7, 6, 2});
    Balance text = new LocalEntropyBalance(1);
    Balance textSpread = new GlobalEntropyBalance(1, 1);
    assertThat(at(text, z.indexSelect(0, order), TAGS)).isCloseTo(at(text, z, TAGS), within(1e-12));
    assertThat(at(textSpread, z.indexSelect(0, order), TAGS))
        .isCloseTo(at(textSpread, z, TAGS), within(1e-12));
    Tensor more = Tensor.cat(List.of(z, normal(5, E)), 0);
    long[] tags = Arrays.copyOf(TAGS, T + 5);
    assertThat(at(text, more, tags)).isCloseTo(at(text, z, TAGS), within(1e-12));
    assertThat(at(textSpread, more, tags)).isCloseTo(at(textSpread, z, TAGS), within(1e-12));
  }

  @Test
  void anAbsentModalityCostsNothing() {
    Tensor z = normal(3, E).requiresGrad(true);
    for (Balance loss :
        new Balance[] {new LocalEntropyBalance(4), new GlobalEntropyBalance(4, 1)}) {
      Tensor value = loss.loss(route(z), tagged(0, 0, 0));
      assertThat(value.item()).isZero();
      value.backward();
      assertThat(z.grad().orElseThrow().toDoubles()).containsOnly(0);
      z.clearGrad();
      assertThat(loss.loss(route(normal(0, E)), tagged()).item()).isZero();
    }
  }

  @Test
  void paddingIsNoModality() {
    Tensor z = normal(T, E);
    byte[] real = {1, 1, 1, 1, 1, 1, 0, 1, 0, 0};
    TokenContext padded = tagged(TAGS).withPadding(Tensor.of(real).to(DType.BOOL));
    long[] without = TAGS.clone();
    for (int t = 0; t < T; t++) {
      without[t] = real[t] == 0 ? -1 : TAGS[t];
    }
    for (Balance loss : new Balance[] {LOCAL, global(E)}) {
      assertThat(loss.loss(route(z), padded).item()).isCloseTo(at(loss, z, without), within(1e-12));
    }
  }

  @Test
  void sureTokensHaveFiniteGradientsInF32() {
    Tensor z = sure(1, 2, 2, 5).to(DType.F32).detach().requiresGrad(true);
    LOCAL
        .loss(route(z), tagged(0, 0, 1, 1))
        .add(global(3).loss(route(z), tagged(0, 0, 1, 1)))
        .backward();
    assertThat(z.grad().orElseThrow().allFinite()).isTrue();
  }

  @Test
  void impossibleLossesAreRefused() {
    assertThatThrownBy(() -> GlobalEntropyBalance.atLeast(0.5, E, 0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("soft minimum of 0.5 of 6");
    assertThatThrownBy(() -> GlobalEntropyBalance.atLeast(7, E, 0)).hasMessageContaining("7.0");
    assertThatThrownBy(() -> new GlobalEntropyBalance(0, 0)).hasMessageContaining("above 0");
    assertThatThrownBy(() -> new LocalEntropyBalance(-2)).hasMessageContaining("modality -2");
    assertThatThrownBy(() -> LOCAL.loss(route(normal(2, E)), TokenContext.eval(1, 2)))
        .hasMessageContaining("withDomains");
    assertThatThrownBy(() -> TokenContext.eval(1, 2).withDomains(Tensor.of(TAGS)))
        .hasMessageContaining("there are 2 tokens");
  }
}
