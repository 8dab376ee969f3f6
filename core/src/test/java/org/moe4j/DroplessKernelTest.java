package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** The fused layer against autograd through a plain loop over experts. */
class DroplessKernelTest {
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor plain(
      Tensor x, Tensor choices, Tensor weights, Tensor wIn, Tensor wOut, ExpertForm form) {
    Tensor y = x.mul(0);
    for (int e = 0; e < wIn.size(0); e++) {
      Tensor h = x.mm(wIn.select(0, e).t());
      Tensor gate = weights.mul(choices.eq(e).to(weights.dtype())).sum(1, true);
      y = y.add(form.hidden(h).mm(wOut.select(0, e).t()).mul(gate));
    }
    return y;
  }

  @ParameterizedTest
  @CsvSource({
    "0,4,2,true,SILU", "1,1,1,true,SILU", "37,4,2,true,GELU", "64,8,4,true,SILU",
    "50,64,1,false,RELU", "33,4,4,false,GELU", "20,4,2,true,GELU_TANH", "700,1,1,true,SILU",
    "600,3,2,true,SILU", "40,4,2,true,QUICK_GELU"
  })
  void equalsThePlainLoopForwardAndBackward(
      int t, int e, int k, boolean gated, Activation activation) {
    ExpertForm form = new ExpertForm(activation, gated, false);
    RandomSource random = new RandomSource(t + 31L * e + k);
    int d = 6;
    int h = 5;
    Tensor x = random.normal(0, 1, DType.F64, t, d).requiresGrad(true);
    Tensor scores = random.uniform(0, 1, DType.F64, t, e);
    Tensor choices = scores.topk(k, 1).indices().copy();
    if (t > 8) {
      choices.narrow(0, 3, 2).fillInPlace(-1); // two tokens lose everything
      choices.select(1, 0).narrow(0, 6, 1).fillInPlace(-1); // one loses its first choice
    }
    Tensor weights = random.uniform(0, 1, DType.F64, t, k).requiresGrad(true);
    Tensor wIn = random.normal(0, 1, DType.F64, e, gated ? 2L * h : h, d).requiresGrad(true);
    Tensor wOut = random.normal(0, 1, DType.F64, e, d, h).requiresGrad(true);
    Tensor[] leaves = {x, weights, wIn, wOut};
    Tensor probe = random.normal(0, 1, DType.F64, t, d);

    Tensor expected = plain(x, choices, weights, wIn, wOut, form);
    expected.mul(probe).sum().backward();
    double[][] gradients = new double[4][];
    for (int i = 0; i < 4; i++) {
      gradients[i] = leaves[i].grad().orElseThrow().toDoubles();
      leaves[i].clearGrad();
    }
    for (int repeat = 1; repeat <= 2; repeat++) { // the second call adds to the gradients
      TokenChoice routing = TokenChoice.of(e, choices, weights, Gating.FIXED, Evidence.none());
      Tensor y = DroplessKernel.apply(x, Assignment.of(routing, t), wIn, wOut, form);
      assertThat(y.toDoubles()).containsExactly(expected.toDoubles(), within(1e-12));
      y.mul(probe).sum().backward();
      for (int i = 0; i < 4; i++) {
        double[] got = leaves[i].grad().orElseThrow().toDoubles();
        for (int j = 0; j < got.length; j++) {
          assertThat(got[j]).isCloseTo(repeat * gradients[i][j], within(1e-10));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1,3,1", "45,4,2", "300,8,2"})
  void inBf16PaddedRowsChangeNothing(int t, int e, int k) {
    RandomSource random = new RandomSource(t);
    Tensor x = random.normal(t, 32).to(DType.BF16).requiresGrad(true);
    Tensor choices = random.uniform(t, e).topk(k, 1).indices();
    Tensor weights = random.uniform(t, k).requiresGrad(true);
    Tensor wIn = random.normal(0, 0.2, DType.F32, e, 48, 32).requiresGrad(true);
    Tensor wOut = random.normal(0, 0.2, DType.F32, e, 32, 24).requiresGrad(true);
    Tensor[] leaves = {x, weights, wIn, wOut};
    Tensor wide = x.detach().to(DType.F32).requiresGrad(true);
    Tensor probe = random.normal(t, 32);
    Tensor expected = plain(wide, choices, weights, wIn, wOut, ExpertForm.SWIGLU);
    expected.mul(probe).sum().backward();
    double[][] gradients = new double[4][];
    gradients[0] = wide.grad().orElseThrow().toDoubles();
    for (int i = 1; i < 4; i++) {
      gradients[i] = leaves[i].grad().orElseThrow().toDoubles();
      leaves[i].clearGrad();
    }
    TokenChoice routing = TokenChoice.of(e, choices, weights, Gating.FIXED, Evidence.none());
    Tensor y = DroplessKernel.apply(x, Assignment.of(routing, t), wIn, wOut, ExpertForm.SWIGLU);
    near(y.toDoubles(), expected.toDoubles());
    y.mul(probe.to(DType.BF16)).sum().backward();
    for (int i = 0; i < 4; i++) {
      near(leaves[i].grad().orElseThrow().toDoubles(), gradients[i]);
    }
  }

  /** Equal up to BF16's rounding, relative to the largest value. */
  private static void near(double[] got, double[] expected) {
    double largest = 0;
    for (double v : expected) {
      largest = Math.max(largest, Math.abs(v));
    }
    assertThat(got).containsExactly(expected, within(0.03 * largest));
  }
}
