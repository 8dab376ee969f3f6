package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class ScopeTest {
  @Test
  void freesWhatWasMadeInsideAndKeepsWhatWasPassedOrKept() {
    try (Scope outer = Scope.open()) {
      Tensor lost;
      Tensor passed;
      Tensor kept;
      try (Scope inner = Scope.open()) {
        lost = Tensor.ones(3);
        passed = inner.pass(Tensor.ones(3));
        kept = Tensor.ones(3).keep();
      }
      assertThat(lost.at.isNull()).isTrue();
      assertThat(passed.toFloats()).containsExactly(1, 1, 1);
      outer.close();
      assertThat(passed.at.isNull()).isTrue();
      assertThat(kept.toFloats()).containsExactly(1, 1, 1);
      kept.close();
      assertThat(kept.at.isNull()).isTrue();
    }
  }

  @Test
  void passedFromTheOutermostScopeItLivesUntilClosed() {
    assertThat(Scope.depth()).isZero();
    Tensor t = Scope.of(() -> Tensor.ones(2).add(1));
    assertThat(t.toFloats()).containsExactly(2, 2);
    t.close();
  }

  @Test
  void useAfterFreeIsAnExceptionNotACrash() {
    Tensor gone;
    try (Scope scope = Scope.open()) {
      gone = Tensor.ones(2);
    }
    assertThatThrownBy(() -> gone.add(1)).isInstanceOf(NullPointerException.class);
  }

  @Test
  void residentMemoryIsFlatOverTwoThousandTrainingSteps() {
    RandomSource random = new RandomSource(3);
    Tensor w = random.normal(128, 128).requiresGrad(true);
    long afterWarmUp = 0;
    for (int step = 0; step < 2200; step++) {
      try (Scope scope = Scope.open()) {
        Tensor x = random.normal(32, 128);
        Tensor y =
            OwnGradient.apply(
                in ->
                    new OwnGradient.Result(
                        in[0].mm(in[1]),
                        (dy, needed) -> new @Nullable Tensor[] {null, in[0].t().mm(dy)},
                        in[0]),
                x,
                w);
        Tensor loss = Ops.silu(y).square().mean();
        loss.backward();
        try (NoGrad off = NoGrad.open()) {
          w.detach().addInPlace(w.grad().orElseThrow(), -1e-3);
        }
        w.clearGrad();
      }
      if (step == 200) {
        afterWarmUp = NativeMemory.resident();
      }
    }
    // One leaked [32,128] tensor a step would be 32 MB.
    assertThat(NativeMemory.resident() - afterWarmUp).isLessThan(16L << 20);
    w.close();
  }
}
