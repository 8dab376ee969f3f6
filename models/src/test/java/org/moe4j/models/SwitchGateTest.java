package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.moe4j.Capacity;
import org.moe4j.Gating;
import org.moe4j.Init;
import org.moe4j.LinearRouter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class SwitchGateTest {
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  private static LinearRouter router(int width, int experts) {
    return new LinearRouter(
        Gating.SWITCH, width, experts, 1, false, 0, Init.normal(0.3), new ParameterStore(2), 0);
  }

  /**
   * S06: transformers takes the argmax after the cast, so near probabilities of many experts are
   * ties in BF16, which the lowest index wins. The cast is that of its own copy here.
   */
  @Test
  void inBf16TheLowerIndexWinsAmongEqualProbabilities() {
    int experts = 64;
    LinearRouter inner = router(8, experts);
    SwitchGate gate = new SwitchGate(inner, Capacity.NONE);
    Tensor x = new RandomSource(9).normal(0, 0.1, DType.F32, 400, 8).to(DType.BF16);
    TokenContext context = TokenContext.eval(1, 400);
    TokenChoice plan = (TokenChoice) gate.route(x, context);
    double[] p = plan.evidence().probabilities().orElseThrow().to(DType.BF16).toDoubles();
    double[] weights = plan.weights().toDoubles();
    long[] chosen = plan.experts().toLongs();
    long[] exact = inner.route(x, context).experts().toLongs();
    assertThat(plan.weights().dtype()).isEqualTo(DType.BF16);
    int moved = 0;
    for (int t = 0; t < 400; t++) {
      int best = 0;
      for (int e = 1; e < experts; e++) {
        if (p[t * experts + e] > p[t * experts + best]) {
          best = e;
        }
      }
      assertThat(chosen[t]).isEqualTo(best);
      assertThat(weights[t]).isEqualTo(p[t * experts + best]);
      moved += best == exact[t] ? 0 : 1;
    }
    assertThat(moved).isPositive();
  }

  /** In the order of each sequence, whatever the others of the batch do. */
  @Test
  void capacityCountsTheTokensOfASequence() {
    SwitchGate gate = new SwitchGate(router(4, 3), Capacity.huggingFaceSwitch(2));
    Tensor one = new RandomSource(4).normal(0, 1, DType.F32, 1, 4).expand(5, 4);
    Tensor x = Tensor.cat(List.of(one, one), 0);
    TokenChoice plan = (TokenChoice) gate.route(x, TokenContext.eval(2, 5));
    long e = plan.choices().toLongs()[0];
    assertThat(plan.experts().toLongs()).containsExactly(e, e, -1, -1, -1, e, e, -1, -1, -1);
    assertThat(plan.weights().toFloats()[2]).isZero();
    assertThat(plan.selected().toFloats()[2]).isPositive();
  }
}
