package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OwnGradientTest {
  private final RandomSource random = new RandomSource(1);
  private Scope scope = Scope.open();

  @BeforeEach
  void open() {
    scope.close();
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  /** a * tanh(b) with a gradient of our own. */
  private static Tensor product(Tensor a, Tensor b) {
    return OwnGradient.apply(
        in -> {
          Tensor t = in[1].tanh();
          return new OwnGradient.Result(
              in[0].mul(t),
              (dy, needed) ->
                  new @Nullable Tensor[] {
                    needed[0] ? dy.mul(t) : null,
                    needed[1] ? dy.mul(in[0]).mul(t.square().neg().add(1)) : null
                  },
              in[0],
              t);
        },
        a,
        b);
  }

  private Tensor leaf(long... shape) {
    return random.normal(0, 1, DType.F64, shape).requiresGrad(true);
  }

  private static double[] gradient(Tensor leaf) {
    return leaf.grad().orElseThrow().toDoubles();
  }

  private static void sameAsAutograd(
      Tensor a, Tensor b, Function<Tensor, Tensor> own, Function<Tensor, Tensor> reference) {
    own.apply(b).square().sum().backward();
    double[] da = gradient(a);
    double[] db = gradient(b);
    a.clearGrad();
    b.clearGrad();
    reference.apply(b).square().sum().backward();
    assertThat(da).containsExactly(gradient(a), within(1e-12));
    assertThat(db).containsExactly(gradient(b), within(1e-12));
  }

  @Test
  void equalsAutogradWithResidualAndNesting() {
    Tensor a = leaf(3, 4);
    Tensor b = leaf(3, 4);
    sameAsAutograd(
        a,
        b,
        x -> product(a, product(a, x).add(x)).add(x),
        x -> a.mul(a.mul(x.tanh()).add(x).tanh()).add(x));
  }

  @Test
  void theSameTensorMayBeBothInputs() {
    Tensor a = leaf(5);
    product(a, a).sum().backward();
    double[] got = gradient(a);
    a.clearGrad();
    a.mul(a.tanh()).sum().backward();
    assertThat(got).containsExactly(gradient(a), within(1e-12));
  }

  @Test
  void insideAnotherOwnGradientsForwardItIsNotRecorded() {
    Tensor a = leaf(4);
    Tensor y =
        OwnGradient.apply(
            in ->
                new OwnGradient.Result(
                    product(in[0], in[0]), (dy, needed) -> new @Nullable Tensor[] {dy.mul(7)}),
            a);
    y.sum().backward();
    assertThat(gradient(a)).containsExactly(7, 7, 7, 7);
  }

  @Test
  void frozenInputsCostNothingAndGetNothing() {
    Tensor a = leaf(4);
    Tensor frozen = random.normal(0, 1, DType.F64, 4);
    boolean[][] seen = new boolean[1][];
    Tensor y =
        OwnGradient.apply(
            in ->
                new OwnGradient.Result(
                    in[0].mul(in[1]),
                    (dy, needed) -> {
                      seen[0] = needed.clone();
                      return new @Nullable Tensor[] {dy.mul(in[1]), null};
                    },
                    in[1]),
            a,
            frozen);
    y.sum().backward();
    assertThat(seen[0]).containsExactly(true, false);
    assertThat(frozen.grad()).isEmpty();
    assertThat(gradient(a)).containsExactly(frozen.toDoubles());
  }

  @Test
  void withoutRecordingOnlyTheForwardPassRuns() {
    Tensor a = leaf(4);
    try (NoGrad off = NoGrad.open()) {
      assertThat(product(a, a).requiresGrad()).isFalse();
    }
  }

  @Test
  void gradientsOfTwoCallsAddUp() {
    Tensor a = leaf(4);
    Tensor b = leaf(4);
    product(a, b).sum().backward();
    double[] once = gradient(a).clone();
    product(a, b).sum().backward();
    double[] twice = gradient(a);
    for (int i = 0; i < once.length; i++) {
      assertThat(twice[i]).isCloseTo(2 * once[i], within(1e-12));
    }
  }

  @Test
  void thousandsOfHooksAtOnce() {
    Tensor a = leaf(2);
    Tensor y = a;
    for (int i = 0; i < 3000; i++) {
      y =
          OwnGradient.apply(
              in ->
                  new OwnGradient.Result(
                      in[0].add(0), (dy, needed) -> new @Nullable Tensor[] {dy.mul(1.001)}),
              y);
    }
    y.sum().backward();
    assertThat(gradient(a)[0]).isCloseTo(Math.pow(1.001, 3000), within(1e-9));
  }

  @Test
  void agreesWithFiniteDifferences() {
    Tensor a = leaf(6);
    Tensor b = leaf(6);
    Function<Tensor, Tensor> f = x -> product(product(a, x), x).sum();
    f.apply(b).backward();
    double[] db = gradient(b);
    double[] at = b.toDoubles();
    for (int i = 0; i < at.length; i++) {
      double[] up = at.clone();
      double[] down = at.clone();
      up[i] += 1e-6;
      down[i] -= 1e-6;
      double slope = (f.apply(Tensor.of(up)).item() - f.apply(Tensor.of(down)).item()) / 2e-6;
      assertThat(db[i]).isCloseTo(slope, within(1e-7));
    }
  }

  @Test
  void aFunctionWithLeavesOfItsOwnIsRecordedWithoutAnyInput() {
    Tensor w = leaf(3, 2);
    Tensor x = random.normal(0, 1, DType.F64, 4, 3);
    for (int call = 1; call <= 2; call++) {
      Tensor y =
          OwnGradient.apply(
              in ->
                  new OwnGradient.Result(
                      in[0].mm(w.detach()),
                      (dy, needed) -> {
                        Tensor dw = in[0].t().mm(dy);
                        w.grad().ifPresentOrElse(g -> g.addInPlace(dw), () -> w.setGrad(dw));
                        return new @Nullable Tensor[] {null};
                      },
                      in[0]),
              true,
              x);
      y.sum().backward();
    }
    double[] got = gradient(w);
    w.clearGrad();
    x.mm(w).sum().mul(2).backward();
    assertThat(got).containsExactly(gradient(w), within(1e-12));
  }

  @Test
  void whatWasNotSavedIsGoneWhenTheForwardPassReturns() {
    Tensor[] temporary = new Tensor[1];
    Tensor a = leaf(4);
    Tensor y =
        OwnGradient.apply(
            in -> {
              temporary[0] = in[0].exp();
              return new OwnGradient.Result(
                  temporary[0].mul(2), (dy, needed) -> new @Nullable Tensor[] {dy});
            },
            a);
    assertThat(temporary[0].at.isNull()).isTrue();
    y.sum().backward();
    assertThat(gradient(a)).containsExactly(1, 1, 1, 1);
  }

  @Test
  void theForwardPassMayRunInAnInnerScope() {
    Tensor a = leaf(5);
    Tensor loss = Scope.of(() -> product(a, product(a, a)).sum());
    loss.backward();
    double[] got = gradient(a);
    a.clearGrad();
    a.mul(a.mul(a.tanh()).tanh()).sum().backward();
    assertThat(got).containsExactly(gradient(a), within(1e-12));
  }

  @Test
  void worksOutsideAnyScope() {
    scope.close();
    Tensor a = leaf(5);
    product(a, a).sum().backward();
    double[] got = gradient(a);
    a.clearGrad();
    a.mul(a.tanh()).sum().backward();
    assertThat(got).containsExactly(gradient(a), within(1e-12));
  }

  @Test
  void aSavedTensorMayBeTheGradientOfTwoInputs() {
    Tensor a = leaf(3);
    Tensor b = leaf(3);
    OwnGradient.apply(
            in -> {
              Tensor g = in[0].mul(0).add(5);
              return new OwnGradient.Result(
                  in[0].add(in[1]), (dy, needed) -> new @Nullable Tensor[] {g, g}, g);
            },
            a,
            b)
        .sum()
        .backward();
    assertThat(gradient(a)).containsExactly(5, 5, 5);
    assertThat(gradient(b)).containsExactly(5, 5, 5);
  }
}
