package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.lab.papers.Experiments;
import org.moe4j.tensor.Device;

/** What every experiment has to keep to, those that come later too. */
class ExperimentsTest {
  private static final int SMALL_VALIDATION = 1024;
  private static final Bench BENCH = new Bench(Device.CPU, SMALL_VALIDATION);

  static Stream<String> ids() {
    return Experiments.all().stream().map(Experiment::id);
  }

  @Test
  void eachPaperHasOneAtMostInTheOrderOfTheList() {
    List<String> ids = ids().toList();
    assertThat(ids).doesNotHaveDuplicates().isSorted();
    assertThat(ids).allSatisfy(id -> assertThat(Experiments.named(id).id()).isEqualTo(id));
  }

  @ParameterizedTest
  @MethodSource("ids")
  void saysWhatAReaderNeeds(String id) {
    Experiment e = Experiments.named(id);
    assertThat(e.system().id()).isEqualTo(id);
    assertThat(e.claim()).endsWith(".").hasSizeBetween(40, 320).doesNotContain(". ");
    assertThat(e.scale()).endsWith(".").hasSizeGreaterThan(40);
    assertThat(e.arms()).extracting(Arm::name).doesNotHaveDuplicates();
    assertThat(e.arms()).allSatisfy(a -> assertThat(a.name()).hasSizeBetween(1, 32));
    assertThat(e.arms()).extracting(Arm::what).doesNotContain("");
    assertThat(e.seeds()).isGreaterThanOrEqualTo(3);
    assertThat(e.budget()).isLessThanOrEqualTo(120);
  }

  @ParameterizedTest
  @MethodSource("ids")
  void armsCostWhatTheyShouldHaveInCommon(String id) {
    Experiment e = Experiments.named(id);
    assumeFalse(e.needsGpu());
    Map<String, ArmResult> arms = new LinkedHashMap<>();
    for (Arm arm : e.arms()) {
      Cost cost = arm.work().cost(BENCH);
      assertThat(cost.parameters()).isGreaterThanOrEqualTo(cost.active());
      assertThat(cost.tokensPerStep()).isPositive();
      arms.put(arm.name(), new ArmResult(arm.name(), cost, 100, List.of()));
    }
    Laboratory.checkEqual(e, arms);
  }

  /** Two steps of the arms that are judged, and the page of what came out. */
  @ParameterizedTest
  @MethodSource("ids")
  void measuresWhatItIsJudgedBy(String id) {
    Experiment whole = Experiments.named(id);
    assumeFalse(whole.needsGpu());
    Experiment e = judgedArmsOf(whole);
    Results results =
        new Laboratory(BENCH, ExperimentListener.SILENT)
            .run(e, new Laboratory.Options(1, 1, OptionalInt.of(2)));
    for (Criterion c : e.criteria()) {
      for (String arm : List.of(c.system(), c.baseline())) {
        assertThat(results.values(arm, c.metric().key())).as(arm).hasSize(1);
      }
    }
    assertThat(ExperimentPage.html(Report.of(e, results, "cpu"))).contains("moe paper run " + id);
  }

  /** Without the arms that nothing is judged by, unless a quantity follows from all of them. */
  private static Experiment judgedArmsOf(Experiment e) {
    Set<String> judged =
        e.criteria().stream()
            .flatMap(c -> Stream.of(c.system(), c.baseline()))
            .collect(Collectors.toSet());
    List<Arm> arms =
        e.arms().stream()
            .filter(a -> !e.derivation().equals(Derivation.NONE) || judged.contains(a.name()))
            // Calibration would take longer than the steps.
            .map(a -> Arm.of(a.name(), a.what(), a.work()))
            .toList();
    return new Experiment(
        e.id(),
        e.claim(),
        e.scale(),
        arms,
        e.criteria(),
        e.held(),
        e.seeds(),
        e.budget(),
        e.needsGpu(),
        Figure.Drawing.NONE,
        e.derivation());
  }

  @ParameterizedTest
  @MethodSource("ids")
  void itsVerdictCanFail(String id) {
    Experiment e = Experiments.named(id);
    assertThat(e.criteria())
        .filteredOn(c -> c.rule() == Criterion.Rule.BETTER)
        .allSatisfy(c -> assertThat(c.expected()).isGreaterThanOrEqualTo(c.threshold()));

    Results expected = results(e, 0.1);
    assertThat(e.judge(expected).verdict()).isEqualTo(Verdict.HOLDS);

    List<Criterion> swapped = e.criteria().stream().map(Criterion::swapped).toList();
    assertThat(Judgement.of(swapped, expected).verdict()).isEqualTo(Verdict.CONTRADICTS);

    assertThat(e.judge(results(e, 3)).verdict()).isEqualTo(Verdict.DOES_NOT_SHOW);
  }

  /**
   * Results in which each system wins by what its criterion expects.
   *
   * @param spread of the seeds' effects, relative to their mean
   */
  private static Results results(Experiment e, double spread) {
    Map<Metric, Map<String, Double>> gains = gains(e);
    List<ArmResult> arms =
        e.arms().stream()
            .map(
                arm ->
                    new ArmResult(
                        arm.name(),
                        Synthetic.COST,
                        10,
                        Stream.of(-1, 0, 1)
                            .map(sign -> measured(gains, arm.name(), 1 + sign * spread))
                            .toList()))
            .toList();
    return new Results(arms, List.of(1L, 2L, 3L), 1);
  }

  private static Measurement measured(
      Map<Metric, Map<String, Double>> gains, String arm, double factor) {
    Map<String, Double> values = new HashMap<>();
    gains.forEach(
        (metric, of) -> {
          double gain = of.getOrDefault(arm, 0.0) * factor;
          double lower = metric.better() == Metric.Better.LOWER ? -gain : gain;
          values.put(
              metric.key(),
              metric.scale() == Metric.Scale.RATIO ? 4 * Math.exp(lower) : 0.5 + lower);
        });
    return Measurement.of(values);
  }

  /** By how much each arm has to be better than nothing, so that all criteria are met. */
  private static Map<Metric, Map<String, Double>> gains(Experiment e) {
    Map<Metric, Map<String, Double>> gains = new HashMap<>();
    // A criterion can lift an arm that another one builds on: as many rounds as there are.
    for (int round = 0; round < e.criteria().size(); round++) {
      for (Criterion c : e.criteria()) {
        Map<String, Double> of = gains.computeIfAbsent(c.metric(), m -> new HashMap<>());
        double least = of.getOrDefault(c.baseline(), 0.0) + c.expected();
        of.merge(c.system(), least, Math::max);
      }
    }
    return gains;
  }
}
