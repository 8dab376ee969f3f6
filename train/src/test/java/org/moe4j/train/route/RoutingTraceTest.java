package org.moe4j.train.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.Evidence;
import org.moe4j.ExpertChoice;
import org.moe4j.Gating;
import org.moe4j.TokenChoice;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class RoutingTraceTest {
  @Test
  void choicesAreInTheOrderOfTheirScoresAndUnwantedOnesLast() {
    try (Scope scope = Scope.open()) {
      Tensor choices = Tensor.of(new long[] {0, 2, 1, 3, 1, 0}, 2, 3);
      Tensor wanted = Tensor.of(new byte[] {1, 1, 1, 0, 1, 1}, 2, 3).gt(0);
      Tensor scores = Tensor.of(new double[] {0.2, 0.5, 0.3, 0.9, 0.1, 0.4}, 2, 3);
      Tensor p = Tensor.of(new double[] {.2, .3, .5, 0, .4, .1, 0, .9}, 2, 4);
      Evidence evidence = Evidence.ofProbabilities(p);
      TokenChoice routing = TokenChoice.of(4, choices, wanted, scores, Gating.FIXED, evidence);
      RoutingTrace.Chosen trace = (RoutingTrace.Chosen) RoutingTrace.of(7, routing, 2);
      assertThat(trace.layer()).isEqualTo(7);
      assertThat(trace.choices()).containsExactly(2, 1, 0, 0, 1, -1);
      assertThat(trace.served()).containsExactly(true, true, true, true, true, false);
      assertThat(trace.weights()[5]).isZero();
      assertThat(trace.probabilities()).hasSize(8).startsWith(0.2f, 0.3f);
    }
  }

  @Test
  void aDroppedChoiceIsStillAChoice() {
    try (Scope scope = Scope.open()) {
      TokenChoice all =
          TokenChoice.of(
              2,
              Tensor.of(new long[] {0, 0}, 2, 1),
              Tensor.ones(2, 1),
              Gating.FIXED,
              Evidence.none());
      TokenChoice kept = all.keeping(Tensor.of(new byte[] {1, 0}, 2, 1).gt(0));
      LoadAnalysis load = new LoadAnalysis(1, 2);
      load.add(Traces.line(5, 6), RoutingTrace.of(0, kept, 2));
      assertThat(load.load()).containsExactly(2, 0);
      assertThat(load.dropped()).isEqualTo(0.5);
    }
  }

  @Test
  void rowsOfATokenStandTogether() {
    try (Scope scope = Scope.open()) {
      TokenChoice routing =
          TokenChoice.of(
              2,
              Tensor.of(new long[] {0, 1, 0, 1}, 4, 1),
              Tensor.ones(4, 1),
              Gating.FIXED,
              Evidence.none());
      RoutingTrace trace = RoutingTrace.of(0, routing, 2);
      RepetitionAnalysis repetition = new RepetitionAnalysis(1, 2, 1);
      repetition.add(Traces.line(1, 2), trace);
      // Part 0 stays at expert 0 and part 1 at expert 1.
      assertThat(repetition.result().first()).isEqualTo(1);
      assertThat(repetition.result().pairs()).isEqualTo(2);
      assertThatThrownBy(() -> RoutingTrace.of(0, routing, 3))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("4 rows were routed for 3 tokens");
    }
  }

  @Test
  void whereExpertsChooseThereIsTheLoadAlone() {
    try (Scope scope = Scope.open()) {
      Tensor tokens = Tensor.of(new long[] {0, 2, 1, -1}, 2, 2);
      ExpertChoice routing =
          new ExpertChoice(tokens, Tensor.ones(2, 2), Gating.FIXED, Evidence.none());
      RoutingTrace trace = RoutingTrace.of(3, routing, 3);
      List<String> pairs = new ArrayList<>();
      trace.read((token, expert, weight, kept) -> pairs.add(token + ">" + expert));
      assertThat(pairs).containsExactly("0>0", "2>0", "1>1");
      assertThat(trace).isInstanceOf(RoutingTrace.Spread.class);
      LayerStudy study = new LayerStudy(trace, 1, new Vocabulary(new long[] {1, 1, 1}, 3));
      study.add(Traces.line(0, 1, 2), trace);
      assertThat(((RoutingTrace.Spread) trace).reason()).contains("ExpertChoice");
    }
  }
}
