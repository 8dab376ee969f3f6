package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** Every balance loss against a loop over doubles, and its gradient against differences. */
class BalanceTest extends InScope {
  private static final int E = 4;
  private static final int K = 2;
  private static final int B = 3;
  private static final int S = 5;
  private static final int T = B * S;
  private static final Grouping TRIPLES = Grouping.tokens(3);

  private final TokenContext plain = TokenContext.train(B, S, new RandomSource(1));
  private final Tensor mask =
      Tensor.of(new byte[] {1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1}).to(DType.BOOL);
  private final TokenContext padded = plain.withPadding(mask);

  /** Logits as a leaf, routed by softmax top-k. */
  private static TokenChoice route(Tensor logits, TokenContext context) {
    Tensor p = logits.softmax(-1);
    Tensor choices = Selection.top(p, K);
    return TokenChoice.of(
            E, choices, p.gather(1, choices), Gating.MIXTRAL, Evidence.of(logits, p, p, p.detach()))
        .onlyReal(context);
  }

  static List<Balance> losses() {
    return List.of(
        FractionBalance.switchLoss(Grouping.BATCH),
        FractionBalance.switchLoss(TRIPLES),
        FractionBalance.gshard(TRIPLES),
        FractionBalance.gshardPaper(Grouping.SEQUENCE),
        FractionBalance.fairseq(),
        FractionBalance.mixtral(Grouping.BATCH),
        FractionBalance.megablocks(),
        FractionBalance.deepSeekExpert(true),
        FractionBalance.deepSeekExpert(false),
        new DeviceBalance(2, Grouping.SEQUENCE),
        new ImportanceBalance(),
        new LoadBalance(),
        new FastMoeNoisyBalance(),
        new FastMoeSwitchBalance(),
        new RouterZLoss());
  }

  private static double expected(Balance loss, double[][] logits, boolean[] real) {
    return switch (loss) {
      case FractionBalance f -> fraction(f, logits, real);
      case DeviceBalance d -> device(d, logits, real);
      case RouterZLoss z -> {
        double sum = 0;
        int n = 0;
        for (int t = 0; t < T; t++) {
          sum += real[t] ? Math.pow(Loops.logSumExp(logits[t]), 2) : 0;
          n += real[t] ? 1 : 0;
        }
        yield sum / n;
      }
      case ImportanceBalance i -> {
        double[] importance = new double[E];
        for (int t = 0; t < T; t++) {
          double[] p = Loops.softmax(logits[t]);
          int[] top = Loops.top(p, K);
          for (int e : top) {
            importance[e] += real[t] ? p[e] / (p[top[0]] + p[top[1]]) : 0;
          }
        }
        yield Loops.variation(importance);
      }
      case LoadBalance l -> {
        double[] load = new double[E];
        for (int t = 0; t < T; t++) {
          for (int e : Loops.top(logits[t], K)) {
            load[e] += real[t] ? 1 : 0;
          }
        }
        yield Loops.variation(load);
      }
      case FastMoeNoisyBalance n ->
          (expected(new ImportanceBalance(), logits, real)
                  + expected(new LoadBalance(), logits, real))
              * E
              / (E - 1);
      case FastMoeSwitchBalance s -> {
        double[] count = new double[E];
        double[] mass = new double[E];
        for (int t = 0; t < T; t++) {
          double[] p = Loops.softmax(logits[t]);
          for (int e : Loops.top(p, K)) {
            count[e] += real[t] ? 1 : 0;
          }
          for (int e = 0; e < E; e++) {
            mass[e] += real[t] ? p[e] : 0;
          }
        }
        double all = Arrays.stream(count).sum();
        double sum = 0;
        for (int e = 0; e < E; e++) {
          sum += count[e] / all * mass[e] / all;
        }
        yield E * sum;
      }
      default -> throw new IllegalArgumentException(loss.name());
    };
  }

  private static int size(Grouping g) {
    return (int) g.groupSize(TokenContext.eval(B, S));
  }

  private static double fraction(FractionBalance f, double[][] logits, boolean[] real) {
    int size = size(f.group());
    double total = 0;
    for (int start = 0; start < T; start += size) {
      double[] count = new double[E];
      double[] mass = new double[E];
      double n = 0;
      for (int t = start; t < start + size; t++) {
        double[] p = Loops.softmax(logits[t]);
        int[] top = Loops.top(p, f.counted() == Balance.Counted.FIRST ? 1 : K);
        for (int e : top) {
          count[e] += real[t] ? 1 : 0;
        }
        n += real[t] ? 1 : 0;
        boolean summed = real[t] || f.padding() == FractionBalance.Padding.IN_MEAN;
        for (int e = 0; e < E; e++) {
          mass[e] += summed ? p[e] : 0;
        }
      }
      double divisor = f.padding() == FractionBalance.Padding.EXCLUDED ? Math.max(n, 1) : size;
      for (int e = 0; e < E; e++) {
        double product = count[e] / divisor / (f.perChoice() ? K : 1) * mass[e] / divisor;
        total += f.scaling() == FractionBalance.Scaling.TIMES_EXPERTS ? E * product : product / E;
      }
    }
    return total * size / T;
  }

  private static double device(DeviceBalance d, double[][] logits, boolean[] real) {
    int size = size(d.group());
    int each = E / d.devices();
    double total = 0;
    for (int start = 0; start < T; start += size) {
      double[] f = new double[E];
      double[] mass = new double[E];
      double n = 0;
      for (int t = start; t < start + size; t++) {
        if (real[t]) {
          n++;
          double[] p = Loops.softmax(logits[t]);
          for (int e : Loops.top(p, K)) {
            f[e]++;
          }
          for (int e = 0; e < E; e++) {
            mass[e] += p[e];
          }
        }
      }
      n = Math.max(n, 1);
      for (int g = 0; g < d.devices(); g++) {
        double mean = 0;
        double sum = 0;
        for (int e = g * each; e < (g + 1) * each; e++) {
          mean += E * f[e] / (K * n) / each;
          sum += mass[e] / n;
        }
        total += mean * sum;
      }
    }
    return total * size / T;
  }

  private static boolean[] flags(byte[] mask) {
    boolean[] out = new boolean[mask.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = mask[i] != 0;
    }
    return out;
  }

  @ParameterizedTest
  @MethodSource("losses")
  void equalTheLoopWithAndWithoutPadding(Balance loss) {
    Tensor logits = normal(T, E).mul(2);
    boolean[] all = new boolean[T];
    Arrays.fill(all, true);
    assertThat(loss.loss(route(logits, plain), plain).item())
        .isCloseTo(expected(loss, rows(logits), all), within(1e-12));
    assertThat(loss.loss(route(logits, padded), padded).item())
        .isCloseTo(expected(loss, rows(logits), flags(mask.toBytes())), within(1e-12));
  }

  @ParameterizedTest
  @MethodSource("losses")
  void gradientsEqualDifferencesWithChoicesFixed(Balance loss) {
    if (loss instanceof LoadBalance) {
      return; // counts alone: no gradient; with noise it is checked with the noisy router
    }
    Tensor logits = normal(T, E).mul(2).requiresGrad(true);
    TokenChoice frozen = route(logits.detach(), padded);
    slopes(
        loss.name(),
        logits,
        1e-6,
        () -> {
          Tensor p = logits.softmax(-1);
          TokenChoice r =
              TokenChoice.of(
                  E,
                  frozen.choices(),
                  p.gather(1, frozen.choices().maskedFill(frozen.choices().lt(0), 0)),
                  Gating.MIXTRAL,
                  Evidence.of(logits, p, p, p.detach()));
          return loss.loss(r, padded);
        });
  }

  /** Token t prefers expert t mod E with probability near 1; k-th choices follow cyclically. */
  private static Tensor even(double sharpness) {
    double[][] z = new double[16][E];
    for (int t = 0; t < 16; t++) {
      z[t][t % E] = 2 * sharpness;
      z[t][(t + 1) % E] = sharpness;
    }
    return matrix(z);
  }

  private static double at(Balance loss, Tensor logits) {
    TokenContext context = TokenContext.eval(1, 16);
    return loss.loss(route(logits, context), context).item();
  }

  @Test
  void valuesAtEvenUseAndAtCollapse() {
    Tensor even = even(1e-3);
    double[][] z = new double[16][E];
    for (double[] row : z) {
      row[2] = 60;
      row[1] = 30;
    }
    Tensor collapsed = matrix(z);
    for (Function<Grouping, FractionBalance> first :
        List.<Function<Grouping, FractionBalance>>of(
            FractionBalance::switchLoss, FractionBalance::gshard)) {
      assertThat(at(first.apply(Grouping.BATCH), even)).isCloseTo(1, within(1e-3));
      assertThat(at(first.apply(Grouping.BATCH), collapsed)).isCloseTo(E, within(1e-9));
    }
    assertThat(at(FractionBalance.gshardPaper(Grouping.BATCH), even))
        .isCloseTo(1.0 / (E * E), within(1e-3));
    assertThat(at(FractionBalance.mixtral(Grouping.BATCH), even)).isCloseTo(K, within(1e-3));
    assertThat(at(FractionBalance.megablocks(), even)).isCloseTo(1, within(1e-3));
    assertThat(at(FractionBalance.megablocks(), collapsed)).isCloseTo((double) E / K, within(1e-9));
    assertThat(at(new DeviceBalance(2, Grouping.BATCH), even)).isCloseTo(1, within(1e-3));
    assertThat(at(new ImportanceBalance(), even)).isCloseTo(0, within(1e-6));
  }

  @Test
  void zLossOfConstantLogitsAndItsGradient() {
    RouterZLoss z = new RouterZLoss();
    double ln = Math.log(E);
    assertThat(at(z, matrix(new double[16][E]))).isCloseTo(ln * ln, within(1e-12));
    assertThat(at(z, matrix(new double[16][E]).add(3)))
        .isCloseTo((3 + ln) * (3 + ln), within(1e-12));
    Tensor logits = normal(T, E).requiresGrad(true);
    z.loss(route(logits, plain), plain).backward();
    double[][] gradient = rows(logits.grad().orElseThrow());
    for (int t = 0; t < T; t++) {
      double[] row = rows(logits)[t];
      for (int e = 0; e < E; e++) {
        assertThat(gradient[t][e])
            .isCloseTo(2.0 / T * Loops.logSumExp(row) * Loops.softmax(row)[e], within(1e-12));
      }
    }
  }

  @Test
  void aConstantOnATokensLogitsMovesTheZLossAlone() {
    Tensor z = normal(16, E);
    Tensor shifted = z.add(normal(16, 1));
    for (Balance loss : losses()) {
      if (loss instanceof FractionBalance f && f.group().kind() != Grouping.Kind.TOKENS) {
        assertThat(at(loss, shifted)).isCloseTo(at(loss, z), within(1e-12));
      }
    }
    assertThat(at(new RouterZLoss(), shifted)).isNotEqualTo(at(new RouterZLoss(), z));
  }

  @Test
  void perSequenceAndPerBatchDifferUnlessThereIsOneSequence() {
    Tensor z = normal(T, E).mul(2);
    Balance sequence = FractionBalance.deepSeekExpert(true);
    Balance batch = FractionBalance.deepSeekExpert(false);
    assertThat(sequence.loss(route(z, plain), plain).item())
        .isNotCloseTo(batch.loss(route(z, plain), plain).item(), within(1e-6));
    TokenContext one = TokenContext.eval(1, T);
    assertThat(sequence.loss(route(z, one), one).item())
        .isCloseTo(batch.loss(route(z, one), one).item(), within(1e-12));
  }

  @Test
  void theDeviceLossSeesOnlyTheTotalsOfItsGroups() {
    Tensor z = normal(T, E).mul(2);
    Tensor swapped = z.indexSelect(1, Tensor.of(new long[] {1, 0, 3, 2}));
    Balance loss = new DeviceBalance(2, Grouping.BATCH);
    assertThat(loss.loss(route(swapped, plain), plain).item())
        .isCloseTo(loss.loss(route(z, plain), plain).item(), within(1e-12));
  }

  @Test
  void pooledOverLayersIsTheLossOfTheirConcatenatedTokens() {
    FractionBalance loss = FractionBalance.mixtral(Grouping.BATCH);
    Tensor a = normal(T, E).mul(2);
    Tensor b = normal(T, E).mul(2);
    TokenContext both = TokenContext.eval(2 * B, S);
    assertThat(
            loss.pooled(
                    List.of(loss.parts(route(a, plain), plain), loss.parts(route(b, plain), plain)))
                .item())
        .isCloseTo(
            loss.loss(route(Tensor.cat(List.of(a, b), 0), both), both).item(), within(1e-12));
  }

  @ParameterizedTest
  @MethodSource("losses")
  void anEmptyBatchCostsNothing(Balance loss) {
    TokenContext none = TokenContext.train(0, S, new RandomSource(1));
    assertThat(loss.loss(route(normal(0, E), none), none).item()).isZero();
  }

  @Test
  void lossesRefuseRoutingsTheyCannotRead() {
    ExpertChoice r =
        new ExpertChoice(
            Tensor.of(new long[] {0}, 1, 1), Tensor.ones(1, 1), Gating.FIXED, Evidence.none());
    assertThatThrownBy(() -> FractionBalance.megablocks().loss(r, plain))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("\"megablocks\" needs a router whose tokens choose");
    assertThatThrownBy(() -> new RouterZLoss().loss(r, plain))
        .hasMessageContaining("\"z-loss\" needs logits");
    assertThatThrownBy(() -> new DeviceBalance(1, Grouping.BATCH))
        .hasMessageContaining("no meaning on 1 device");
    assertThatThrownBy(
            () -> new DeviceBalance(3, Grouping.BATCH).loss(route(normal(T, E), plain), plain))
        .hasMessageContaining("4 experts do not divide into 3 devices");
    assertThatThrownBy(() -> new BalanceTerm(new RouterZLoss(), -1))
        .hasMessageContaining("coefficient -1.0");
    assertThatThrownBy(() -> BalanceRegistry.named("zloss"))
        .hasMessageContaining("did you mean \"z-loss\"");
  }

  @Test
  void everyLossDeclaresItself() {
    for (BalanceRegistry.Entry entry : BalanceRegistry.entries()) {
      assertThat(BalanceRegistry.named(entry.loss().name())).isEqualTo(entry.loss());
      assertThat(entry.loss().declaration().gradient()).startsWith("through");
    }
  }
}
