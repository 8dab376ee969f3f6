package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.Parameter;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;

class TrainerTest {
  @TempDir Path folder;

  @BeforeEach
  void text() throws IOException {
    Ops.threads(1);
    Tiny.corpus(folder);
  }

  private TinyTraining make(String... overrides) {
    return TinyTraining.of(folder, overrides);
  }

  private static List<float[]> values(Decoder model) {
    return model.parameters().all().stream().map(p -> p.tensor().toFloats()).toList();
  }

  @Test
  void theLossFallsInBothPrecisions() {
    for (String precision : List.of("fp32", "bf16")) {
      try (TinyTraining m = make("train.steps=60", "train.precision=" + precision)) {
        double first = m.trainer().step().loss();
        double before = m.trainer().validate(m.corpus().validation()).bitsPerByte();
        StepResult last = m.trainer().step();
        while (last.step() < 60) {
          last = m.trainer().step();
        }
        assertThat(first).isCloseTo(Math.log(m.corpus().tokenizer().vocabSize()), within(0.5));
        assertThat(last.loss()).as(precision).isLessThan(0.6 * first);
        assertThat(m.trainer().validate(m.corpus().validation()).bitsPerByte())
            .isLessThan(0.7 * before);
        assertThat(last.balance()).containsOnlyKeys("mixtral", "z-loss");
        assertThat(last.routing()).hasSize(2);
        assertThat(Arrays.stream(last.routing().getFirst().asked()).sum())
            .isEqualTo((double) (last.tokens() * 2));
      }
    }
  }

  @Test
  void accumulatedBatchesAreOneLargeBatch() {
    String[] same = {"moe.balance-loss=0", "moe.z-loss=0", "train.clip=0.3"};
    try (TinyTraining large = make(with(same, "train.batch-size=8"));
        TinyTraining small = make(with(same, "train.batch-size=2", "train.accumulate=4"))) {
      for (int i = 0; i < 3; i++) {
        StepResult a = large.trainer().step();
        StepResult b = small.trainer().step();
        assertThat(b.loss()).isCloseTo(a.loss(), within(1e-5));
        assertThat(b.gradientNorm()).isCloseTo(a.gradientNorm(), within(1e-4));
        assertThat(b.tokens()).isEqualTo(a.tokens());
        assertThat(b.routing().getFirst().asked()).containsExactly(a.routing().getFirst().asked());
      }
      List<float[]> a = values(large.model());
      List<float[]> b = values(small.model());
      for (int i = 0; i < a.size(); i++) {
        assertThat(b.get(i)).containsExactly(a.get(i), within(2e-4f));
      }
    }
  }

  private static String[] with(String[] some, String... more) {
    List<String> all = new ArrayList<>(List.of(some));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  /** With an epsilon far above all gradients and as large a rate, AdamW moves by the gradient. */
  @Test
  void clippingScalesTheGradientAsAWhole() {
    String[] same = {
      "train.eps=1e3", "train.learning-rate=1e3", "train.warmup=0", "train.weight-decay=0"
    };
    try (TinyTraining free = make(with(same, "train.clip=0"));
        TinyTraining bound = make(with(same, "train.clip=0.1"))) {
      List<float[]> start = values(free.model());
      double norm = free.trainer().step().gradientNorm();
      assertThat(bound.trainer().step().gradientNorm()).isEqualTo(norm).isGreaterThan(0.2);
      double moved = 0;
      double movedBound = 0;
      for (int i = 0; i < start.size(); i++) {
        moved += distance(start.get(i), values(free.model()).get(i));
        movedBound += distance(start.get(i), values(bound.model()).get(i));
      }
      assertThat(moved / movedBound).isCloseTo(norm / 0.1, within(0.01 * norm / 0.1));
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs((double) a[i] - b[i]);
    }
    return sum;
  }

  @Test
  void stepsThatAreNotFiniteAreSkippedCountedAndAtLastGivenUp() {
    try (TinyTraining m = make("model.placement=none")) {
      Parameter embedding = m.model().embedding();
      List<float[]> before = values(m.model());
      try (NoGrad off = NoGrad.open()) {
        embedding.tensor().fillInPlace(Float.NaN);
      }
      for (int i = 0; i < 4; i++) {
        assertThat(m.trainer().step().skipped()).isTrue();
      }
      assertThat(m.trainer().skipped()).isEqualTo(4);
      for (int i = 1; i < before.size(); i++) {
        assertThat(values(m.model()).get(i)).containsExactly(before.get(i));
      }
      assertThatThrownBy(m.trainer()::step)
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("not finite")
          .hasMessageContaining("train.learning-rate")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void frozenParametersDoNotMove() {
    try (TinyTraining m = make()) {
      Parameter gate = m.model().parameters().named("layers.0.moe.gate.weight");
      gate.freeze();
      float[] before = gate.tensor().toFloats();
      m.trainer().step();
      m.trainer().step();
      assertThat(gate.tensor().toFloats()).containsExactly(before);
    }
  }
}
