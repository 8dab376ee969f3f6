package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;

class LaboratoryTest {
  private static final Bench BENCH = new Bench(Device.CPU);

  private static Report run(double ours, double theirs) {
    Experiment experiment = Synthetic.experiment(ours, theirs, Synthetic.COST);
    Results results =
        new Laboratory(BENCH, ExperimentListener.SILENT, () -> false, () -> 0L, 2)
            .run(experiment, new Laboratory.Options(9, 2, OptionalInt.of(30)));
    return Report.of(experiment, results, "cpu");
  }

  @Test
  void eachVerdictCanOccur() {
    assertThat(run(3.0, 3.3).judgement().verdict()).isEqualTo(Verdict.HOLDS);
    assertThat(run(3.0, 3.001).judgement().verdict()).isEqualTo(Verdict.DOES_NOT_SHOW);
    assertThat(run(3.3, 3.0).judgement().verdict()).isEqualTo(Verdict.CONTRADICTS);
  }

  @Test
  void allArmsHaveTheSameSeedsAndSteps() {
    Results results = run(3.0, 3.3).results();
    assertThat(results.seeds()).containsExactly(1L, 2L);
    assertThat(results.arms()).allSatisfy(arm -> assertThat(arm.steps()).isEqualTo(30));
    assertThat(results.values("ours", "loss").getFirst())
        .isNotEqualTo(results.values("ours", "loss").getLast());
    assertThat(results)
        .usingRecursiveComparison()
        .ignoringFields("seconds")
        .isEqualTo(run(3.0, 3.3).results());
  }

  @Test
  void aFewSlowStepsDoNotMoveTheTimeOfAStep() {
    AtomicLong clock = new AtomicLong();
    AtomicInteger steps = new AtomicInteger();
    Workload ours =
        Synthetic.falling(
            3,
            Synthetic.COST,
            () -> clock.addAndGet(steps.incrementAndGet() % 4 == 0 ? 1_000_000_000 : 10_000_000));
    Results results =
        new Laboratory(BENCH, ExperimentListener.SILENT, () -> false, clock::get, 1)
            .run(
                Synthetic.experiment(
                    Arm.of("ours", "the system", ours),
                    Arm.of("theirs", "the baseline", Synthetic.falling(3.3, Synthetic.COST))),
                new Laboratory.Options(9, 1, OptionalInt.of(20)));
    assertThat(results.values("ours", Metric.STEP_TIME.key())).containsExactly(10.0);
  }

  /** A step of ours takes 10 ms and one of theirs 20, on a clock that nothing else moves. */
  @Test
  void theStepsAreThoseThatFitIntoTheBudget() {
    assertThat(stepsOfSlow(10.5, false)).containsExactly(90, 90);
    assertThat(stepsOfSlow(0.1, false)).containsExactly(20, 20);
  }

  @Test
  void anArmWithTheTimeOfAnotherHasFewerStepsIfItsStepsTakeLonger() {
    List<Integer> steps = stepsOfSlow(9, true);
    assertThat(steps.getFirst()).isEqualTo(2 * steps.getLast());
  }

  private static List<Integer> stepsOfSlow(double budget, boolean inTheTimeOfOurs) {
    AtomicLong clock = new AtomicLong();
    Workload ours = Synthetic.falling(3, Synthetic.COST, () -> clock.addAndGet(10_000_000));
    Workload theirs = Synthetic.falling(3.3, Synthetic.COST, () -> clock.addAndGet(20_000_000));
    Arm slow = Arm.of("theirs", "the baseline", theirs);
    Experiment experiment =
        Synthetic.experiment(
            Arm.of("ours", "the system", ours), inTheTimeOfOurs ? slow.inTheTimeOf("ours") : slow);
    return new Laboratory(BENCH, ExperimentListener.SILENT, () -> false, clock::get, 1)
        .run(experiment, new Laboratory.Options(budget, 3, OptionalInt.empty())).arms().stream()
            .map(ArmResult::steps)
            .toList();
  }

  @Test
  void whoIsAskedToStopStops() {
    Laboratory laboratory = new Laboratory(BENCH, ExperimentListener.SILENT, () -> true);
    assertThatThrownBy(
            () ->
                laboratory.run(
                    Synthetic.experiment(3, 3, Synthetic.COST),
                    new Laboratory.Options(9, 1, OptionalInt.of(5))))
        .isInstanceOf(Laboratory.Stopped.class);
  }

  @Test
  void sharesOfTheWorkRiseToOne() {
    List<Double> shares = new ArrayList<>();
    ExperimentListener listener =
        new ExperimentListener() {
          @Override
          public void step(String arm, long seed, int step, int steps, double loss, double share) {
            shares.add(share);
          }
        };
    new Laboratory(BENCH, listener)
        .run(
            Synthetic.experiment(3, 3, Synthetic.COST),
            new Laboratory.Options(9, 3, OptionalInt.of(20)));
    assertThat(shares).hasSize(120).isSorted();
    assertThat(shares.getLast()).isCloseTo(1, within(1e-9));
  }

  @Test
  void armsThatShouldCostTheSameAreRefusedWhereTheyDoNot() {
    Cost dearer = new Cost(1000, 500, 2200, 64);
    assertThatThrownBy(
            () ->
                new Laboratory(BENCH, ExperimentListener.SILENT)
                    .run(
                        Synthetic.experiment(3, 3, dearer),
                        new Laboratory.Options(9, 1, OptionalInt.of(20))))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("FLOPs per token")
        .hasMessageContaining("9.1 percent");
  }

  @Test
  void thePageIsWholeAndEscaped() {
    String html = ExperimentPage.html(run(3.0, 3.3));
    assertThat(html)
        .contains("Ours &lt;is&gt; better.", "Holds", "moe paper run S01 --steps 30 --seeds 2")
        .doesNotContain("Ours <is>");
    assertThat(IndexPage.html(List.of(new Attempt.Done(run(3.0, 3.3)))))
        .contains("S01.html", "1 of 1 claims hold");
  }

  @Test
  void theIndexCountsVerdictsInWords() {
    Attempt fails = new Attempt.Done(run(3.3, 3.0));
    Attempt holds = new Attempt.Done(run(3.0, 3.3));
    Attempt hides = new Attempt.Done(run(3.0, 3.001));
    assertThat(IndexPage.summary(List.of(fails, fails, holds, hides, hides)))
        .isEqualTo("1 of 5 claims hold, 2 do not show at this scale, 2 contradict");
    assertThat(IndexPage.summary(List.of(fails, hides)))
        .isEqualTo("0 of 2 claims hold, 1 does not show at this scale, 1 contradicts");
  }
}
