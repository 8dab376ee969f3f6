package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.lab.DomainArm.Quantities;
import org.moe4j.tensor.Device;
import org.moe4j.train.config.TrainingConfig;

/** Domain experts on WordNet alone, as where a JDK comes without sources. */
class DomainTrialTest {
  private static final Bench BENCH = new Bench(Device.CPU, 1024);

  private static final LanguageArm TINY =
      LanguageArm.of(
          "data.vocab-size=300",
          "data.sequence-length=32",
          "model.hidden=16",
          "model.heads=2",
          "model.kv-heads=2",
          "model.ffn=16",
          "moe.expert-ffn=16",
          "moe.experts=4",
          "moe.top-k=1",
          "train.batch-size=8");

  private static final DomainCorpus CORPUS =
      DomainCorpus.read(TINY.config(1), Path.of("no-such-src.zip"));

  private static Measurement run(LanguageArm arm, int steps) {
    TrainingConfig config = arm.config(steps);
    try (DomainTrial trial = new DomainTrial(config, CORPUS, BENCH, 1)) {
      for (int i = 0; i < steps; i++) {
        trial.step();
      }
      return trial.finish();
    }
  }

  @Test
  void fourDomainsAreKnownAndOneIsNew() {
    assertThat(CORPUS.known())
        .extracting(DomainCorpus.Part::name)
        .containsExactly("animals", "matter", "people and places", "deeds");
    assertThat(CORPUS.known())
        .allSatisfy(part -> assertThat(part.train().size()).isGreaterThan(100_000));
    assertThat(CORPUS.later().validation().size()).isGreaterThan(10_000);
  }

  @Test
  void aNewExpertLeavesTheOldOnesAsTheyWereAndDenseLearningDoesNot() {
    Measurement experts = run(TINY.with("moe.router=demix"), 20);
    Map<String, Double> values = experts.values();
    assertThat(values.get(Quantities.FORGOTTEN.key())).isZero();
    assertThat(values.get(Quantities.ADAPTED.key())).isLessThan(values.get(Quantities.NEW.key()));
    assertThat(values.get(Quantities.UNLABELLED.key()))
        .isBetween(1.0, 300.0)
        .isNotEqualTo(values.get(Quantities.LABELLED.key()));
    assertThat(experts.routing()).isPresent();
    // A mixture's weights sum to one, so each domain's row is all of its tokens.
    assertThat(List.of(experts.routing().orElseThrow().layers().getFirst().counts()))
        .allSatisfy(
            row -> assertThat(Arrays.stream(row).sum()).isCloseTo(1024.0, withPercentage(1e-6)));

    Map<String, Double> dense = run(TINY.with("model.placement=none"), 10).values();
    assertThat(dense.get(Quantities.FORGOTTEN.key())).isNotZero();
    assertThat(dense.get(Quantities.REMOVED.key())).isZero();
  }
}
