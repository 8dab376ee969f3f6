package org.moe4j.lab;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Results and experiments that nothing was trained for. */
final class Synthetic {
  static final Cost COST = new Cost(1000, 500, 2000, 64);

  private Synthetic() {}

  /** The results of arms with these losses, one a seed. */
  static Results losses(Map<String, List<Double>> arms) {
    int seeds = arms.values().iterator().next().size();
    return new Results(
        arms.entrySet().stream()
            .map(
                e ->
                    new ArmResult(
                        e.getKey(),
                        COST,
                        10,
                        e.getValue().stream()
                            .map(v -> Measurement.of(Map.of(Metric.LOSS.key(), v)))
                            .toList()))
            .toList(),
        LongStream.rangeClosed(1, seeds).boxed().toList(),
        1);
  }

  /** Ours against theirs. */
  static Results losses(List<Double> ours, List<Double> theirs) {
    return losses(Map.of("ours", ours, "theirs", theirs));
  }

  /**
   * A workload whose loss falls from {@code start} by a hundredth a step, a bit more by the seed.
   */
  static Workload falling(double start, Cost cost) {
    return falling(start, cost, () -> {});
  }

  /** The same, with something that each step does. */
  static Workload falling(double start, Cost cost, Runnable atStep) {
    return new Workload() {
      @Override
      public Cost cost(Bench bench) {
        return cost;
      }

      @Override
      public Trial start(Bench bench, long seed, int steps) {
        return new Falling(start + seed * 1e-4, atStep);
      }
    };
  }

  private static final class Falling implements Trial {
    private final Runnable atStep;
    private double loss;
    private int steps;

    Falling(double loss, Runnable atStep) {
      this.loss = loss;
      this.atStep = atStep;
    }

    @Override
    public double step() {
      atStep.run();
      steps++;
      return loss -= 0.01;
    }

    @Override
    public Measurement finish() {
      List<Double> all =
          IntStream.range(0, steps).mapToObj(i -> loss + 0.01 * (steps - i)).toList();
      return new Measurement(
          Map.of(Metric.LOSS.key(), loss), Map.of("loss", Curve.of(all, 5)), Optional.empty(), 0.5);
    }

    @Override
    public void close() {}
  }

  /** Ours, which starts from {@code ours}, against theirs, at equal steps. */
  static Experiment experiment(double ours, double theirs, Cost oursCost) {
    return experiment(
        Arm.of("ours", "the system", falling(ours, oursCost)),
        Arm.of("theirs", "the baseline", falling(theirs, COST)));
  }

  /** Ours against theirs by the loss. */
  static Experiment experiment(Arm ours, Arm theirs) {
    return Experiment.of(
        "S01",
        "Ours <is> better.",
        "Not at all like the paper.",
        List.of(ours, theirs),
        List.of(Criterion.better("ours", "theirs", Metric.LOSS, 0.02, 0.005)),
        Set.of(Held.STEPS, Held.FLOPS));
  }
}
