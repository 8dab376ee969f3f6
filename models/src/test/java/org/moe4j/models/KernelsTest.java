package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** The functions with gradients of their own against libtorch's, value and gradients, in F64. */
class KernelsTest {
  private final Scope scope = Scope.open();
  private final RandomSource random = new RandomSource(5);

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor leaf(long... shape) {
    return random.normal(0, 1, DType.F64, shape).requiresGrad(true);
  }

  /** Runs both twice: the second time gradients add up. */
  private static void same(Supplier<Tensor> own, Supplier<Tensor> reference, Tensor... leaves) {
    List<double[]> expected = new ArrayList<>();
    double[] value = reference.get().toDoubles();
    for (int i = 0; i < 2; i++) {
      reference.get().backward();
    }
    for (Tensor leaf : leaves) {
      expected.add(leaf.grad().orElseThrow().toDoubles());
      leaf.clearGrad();
    }
    assertThat(own.get().toDoubles()).containsExactly(value, within(1e-9));
    for (int i = 0; i < 2; i++) {
      own.get().backward();
    }
    for (int i = 0; i < leaves.length; i++) {
      Tensor got = leaves[i].grad().orElseThrow().flatten();
      Tensor wanted = Tensor.of(expected.get(i));
      double largest = Math.max(1, wanted.abs().max().item());
      assertThat(got.sub(wanted).abs().max().item()).isLessThan(1e-10 * largest);
    }
  }

  @Test
  void linear() {
    Tensor x = leaf(3, 5, 8);
    Tensor w = leaf(6, 8);
    Tensor probe = random.normal(0, 1, DType.F64, 3, 5, 6);
    same(
        () -> LinearKernel.apply(x, w).mul(probe).sum(),
        () -> Ops.linear(x, w, null).mul(probe).sum(),
        x,
        w);
  }

  @Test
  void rmsNormOfMoreRowsThanABlock() {
    Tensor x = leaf(700, 6);
    Tensor w = leaf(6);
    Tensor probe = random.normal(0, 1, DType.F64, 700, 6);
    same(
        () -> RmsNormKernel.apply(x, w, 1e-5).mul(probe).sum(),
        () -> Ops.rmsNorm(x, w, 1e-5).mul(probe).sum(),
        x,
        w);
  }

  @Test
  void crossEntropyWithTargetsLeftOut() {
    Tensor h = leaf(1100, 4);
    Tensor w = leaf(9, 4);
    long[] targets = new long[1100];
    Arrays.setAll(targets, i -> i % 7 == 0 ? LmLoss.IGNORED : i % 9);
    Tensor wanted = Tensor.of(targets);
    same(
        () -> CrossEntropyKernel.apply(h, w, wanted).mul(3),
        () -> Ops.crossEntropy(h.mm(w.t()), wanted).mul(3),
        h,
        w);
  }

  @Test
  void crossEntropyOfMoreLogitsThanAreHeldAtATime() {
    // 1,500 x 30,000 logits are three portions.
    Tensor h = leaf(1500, 3);
    Tensor w = leaf(30_000, 3);
    long[] targets = new long[1500];
    Arrays.setAll(targets, i -> i * 19L);
    Tensor wanted = Tensor.of(targets);
    same(
        () -> CrossEntropyKernel.apply(h, w, wanted),
        () -> Ops.crossEntropy(h.mm(w.t()), wanted),
        h,
        w);
    try (NoGrad off = NoGrad.open()) {
      assertThat(CrossEntropyKernel.apply(h, w, wanted).item())
          .isCloseTo(Ops.crossEntropy(h.mm(w.t()), wanted).item(), within(1e-9));
    }
  }

  @Test
  void attentionEqualsScaledDotProductsOfTurnedHeads() {
    int heads = 4;
    int kvHeads = 2;
    long d = 6;
    try (Rope rope = new Rope(RopeConfig.of(10_000), (int) d, 64, org.moe4j.tensor.Device.CPU)) {
      Tensor q = leaf(3, 11, heads * d);
      Tensor k = leaf(3, 11, kvHeads * d);
      Tensor v = leaf(3, 11, kvHeads * d);
      Tensor probe = random.normal(0, 1, DType.F64, 3, 11, heads * d);
      same(
          () ->
              org.moe4j.tensor.OwnGradient.apply(
                      in -> AttentionKernel.forward(in[0], in[1], in[2], heads, kvHeads, rope),
                      q,
                      k,
                      v)
                  .mul(probe)
                  .sum(),
          () ->
              Ops.attention(
                      rope.apply(split(q, heads), Span.whole(11)),
                      rope.apply(split(k, kvHeads), Span.whole(11)),
                      split(v, kvHeads),
                      null,
                      true,
                      Double.NaN)
                  .transpose(1, 2)
                  .reshape(3, 11, heads * d)
                  .mul(probe)
                  .sum(),
          q,
          k,
          v);
    }
  }

  private static Tensor split(Tensor x, int heads) {
    return x.view(x.size(0), x.size(1), heads, x.size(2) / heads).transpose(1, 2);
  }
}
