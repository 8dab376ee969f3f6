package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.LongStream;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;

/**
 * Runs experiments. A budget of seconds becomes a number of steps by a short calibration; with this
 * number as {@link Options#steps} a run gives the same again, except for arms that are given another
 * arm's time.
 */
public final class Laboratory {
  private static final long REUSED_BLOCK = 1L << 30;
  private static final int WARM_UP = 2;
  private static final int TIMED = 4;
  private static final int FEWEST = 20;

  /** What of the budget is left for what calibration does not see: other work on the machine. */
  private static final double RESERVE = 0.92;

  /**
   * How to run.
   *
   * @param budget seconds in all, unless the steps are given
   * @param seeds runs of each arm, with seeds 1, 2 and so on
   * @param steps of each run; from the budget if empty
   */
  public record Options(double budget, int seeds, OptionalInt steps) {
    /** Checks the numbers. */
    public Options {
      if (!(budget > 0) || seeds < 1 || steps.orElse(1) < 1) {
        throw new MoeException("budget, seeds and steps must be more than 0");
      }
    }

    /** The experiment's own. */
    public static Options of(Experiment experiment) {
      return new Options(experiment.budget(), experiment.seeds(), OptionalInt.empty());
    }
  }

  /** Seconds of a step, and of what comes before and behind the steps. */
  private record Pace(double step, double around) {}

  private final Bench bench;
  private final ExperimentListener listener;

  /** A laboratory on {@code bench}. */
  public Laboratory(Bench bench, ExperimentListener listener) {
    this.bench = bench;
    this.listener = listener;
  }

  /**
   * Runs all arms with all seeds.
   *
   * @throws MoeException if arms that should cost the same do not
   */
  public Results run(Experiment experiment, Options options) {
    long begin = System.nanoTime();
    NativeMemory.reuseFreedBlocks(REUSED_BLOCK);
    listener.stage("reading the text");
    Map<String, Cost> costs = new LinkedHashMap<>();
    experiment.arms().forEach(arm -> costs.put(arm.name(), arm.work().cost(bench)));
    Map<String, Integer> steps = steps(experiment, options, begin);
    long all = options.seeds() * steps.values().stream().mapToLong(s -> s).sum();
    Map<String, List<Measurement>> runs = new HashMap<>();
    List<Long> seeds = LongStream.rangeClosed(1, options.seeds()).boxed().toList();
    long done = 0;
    // Seed by seed: what is interrupted has whole comparisons, and drifts of speed hit all arms.
    for (long seed : seeds) {
      for (Arm arm : experiment.arms()) {
        int own = steps.getOrDefault(arm.name(), FEWEST);
        Measurement run = run(arm, seed, own, (double) done / all, (double) own / all);
        runs.computeIfAbsent(arm.name(), name -> new ArrayList<>()).add(run);
        done += own;
      }
    }
    List<ArmResult> arms =
        experiment.arms().stream()
            .map(
                arm ->
                    new ArmResult(
                        arm.name(),
                        costs.get(arm.name()),
                        steps.get(arm.name()),
                        runs.get(arm.name())))
            .toList();
    Results results = new Results(arms, seeds, seconds(begin));
    checkEqual(experiment, results);
    return experiment.derivation().of(results);
  }

  private Measurement run(Arm arm, long seed, int steps, double before, double share) {
    try (Trial trial = arm.work().start(bench, seed, steps)) {
      for (int i = 1; i <= steps; i++) {
        double loss = trial.step();
        listener.step(arm.name(), seed, i, steps, loss, before + share * i / steps);
      }
      Measurement m = trial.finish();
      Map<String, Double> values = new HashMap<>(m.values());
      values.put(Metric.FLOPS.key(), (double) arm.work().cost(bench).flops());
      return new Measurement(values, m.curves(), m.routing(), m.seconds());
    }
  }

  /** The steps of each arm. */
  private Map<String, Integer> steps(Experiment experiment, Options options, long begin) {
    boolean timed = experiment.arms().stream().anyMatch(arm -> arm.timeOf().isPresent());
    Map<String, Pace> paces = new HashMap<>();
    if (options.steps().isEmpty() || timed) {
      listener.stage("measuring the time of a step");
      // The first run of all is slow: nothing is compiled yet.
      pace(experiment.arms().getFirst());
      experiment.arms().forEach(arm -> paces.put(arm.name(), pace(arm)));
    }
    int common =
        options
            .steps()
            .orElseGet(
                () -> fitting(experiment, options, paces, options.budget() - seconds(begin)));
    Map<String, Integer> steps = new LinkedHashMap<>();
    for (Arm arm : experiment.arms()) {
      steps.put(arm.name(), (int) Math.round(common * stretch(arm, paces)));
    }
    return steps;
  }

  private static double stretch(Arm arm, Map<String, Pace> paces) {
    return arm.timeOf().map(o -> paces.get(o).step / paces.get(arm.name()).step).orElse(1.0);
  }

  /** As many steps as fit into {@code left} seconds, in tens. */
  private static int fitting(
      Experiment experiment, Options options, Map<String, Pace> paces, double left) {
    double perStep = 0;
    double around = 0;
    for (Arm arm : experiment.arms()) {
      Pace pace = paces.get(arm.name());
      perStep += pace.step * stretch(arm, paces);
      around += pace.around;
    }
    double fit = (RESERVE * left / options.seeds() - around) / perStep;
    return Math.max(FEWEST, 10 * (int) (fit / 10));
  }

  /** A few steps, and all that is done around them. */
  private Pace pace(Arm arm) {
    long begin = System.nanoTime();
    double step;
    try (Trial trial = arm.work().start(bench, 0, WARM_UP + TIMED)) {
      for (int i = 0; i < WARM_UP; i++) {
        trial.step();
      }
      long steady = System.nanoTime();
      for (int i = 0; i < TIMED; i++) {
        trial.step();
      }
      step = seconds(steady) / TIMED;
      trial.finish();
    }
    return new Pace(step, Math.max(0, seconds(begin) - (WARM_UP + TIMED) * step));
  }

  private static void checkEqual(Experiment experiment, Results results) {
    for (Criterion c : experiment.criteria()) {
      for (Held held : experiment.held()) {
        double apart = held.apart(results.arm(c.system()), results.arm(c.baseline()));
        if (apart > Held.TOLERANCE && !(held.isWork() && byTime(experiment, c))) {
          throw new MoeException(
              "%s: %s and %s should have equal %s, but they are %.1f percent apart"
                  .formatted(
                      experiment.id(), c.system(), c.baseline(), held.label(), 100 * apart));
        }
      }
    }
  }

  private static boolean byTime(Experiment experiment, Criterion c) {
    return experiment.arm(c.system()).timeOf().isPresent()
        || experiment.arm(c.baseline()).timeOf().isPresent();
  }

  private static double seconds(long begin) {
    return (System.nanoTime() - begin) * 1e-9;
  }
}
