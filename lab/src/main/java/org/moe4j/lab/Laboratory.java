package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import java.util.stream.LongStream;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;

/**
 * Runs experiments. A budget of seconds becomes a number of steps by a short calibration; with this
 * number as {@link Options#steps} a run gives the same again, except for arms that are given
 * another arm's time.
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
        throw new MoeException(
            "a budget of %s s, %d seeds and %s steps: each must be more than 0"
                .formatted(budget, seeds, steps.isPresent() ? steps.getAsInt() : "fitting"));
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
  private final BooleanSupplier stop;
  private final LongSupplier clock;

  /** A laboratory on {@code bench}. */
  public Laboratory(Bench bench, ExperimentListener listener) {
    this(bench, listener, () -> false);
  }

  /** A laboratory that is asked to stop when {@code stop} says so, which is looked at each step. */
  public Laboratory(Bench bench, ExperimentListener listener, BooleanSupplier stop) {
    this(bench, listener, stop, System::nanoTime);
  }

  /** A laboratory whose calibration reads {@code clock}, in nanoseconds. */
  Laboratory(Bench bench, ExperimentListener listener, BooleanSupplier stop, LongSupplier clock) {
    this.bench = bench;
    this.listener = listener;
    this.stop = stop;
    this.clock = clock;
  }

  /** An experiment was given up because someone asked for it. */
  public static final class Stopped extends RuntimeException {
    private static final long serialVersionUID = 1;

    private Stopped(String id) {
      super(id + " was stopped");
    }
  }

  /**
   * Runs all arms with all seeds.
   *
   * @throws MoeException if arms that should cost the same do not
   * @throws Stopped if the laboratory was asked to stop
   */
  public Results run(Experiment experiment, Options options) {
    long begin = clock.getAsLong();
    NativeMemory.reuseFreedBlocks(REUSED_BLOCK);
    listener.stage("reading the text");
    Map<String, ArmResult> arms = arms(experiment, steps(experiment, options, begin));
    checkEqual(experiment, arms);
    long all = options.seeds() * arms.values().stream().mapToLong(ArmResult::steps).sum();
    Map<String, List<Measurement>> runs = new HashMap<>();
    List<Long> seeds = LongStream.rangeClosed(1, options.seeds()).boxed().toList();
    long done = 0;
    // Seed by seed: what is interrupted has whole comparisons, and drifts of speed hit all arms.
    for (long seed : seeds) {
      for (Arm arm : experiment.arms()) {
        ArmResult own = arms.get(arm.name());
        double before = (double) done / all;
        Measurement run = run(experiment, own, seed, before, (double) own.steps() / all);
        runs.computeIfAbsent(arm.name(), name -> new ArrayList<>()).add(run);
        done += own.steps();
      }
    }
    Results results =
        new Results(
            arms.values().stream().map(arm -> arm.with(runs.get(arm.name()))).toList(),
            seeds,
            seconds(begin));
    return experiment.derivation().of(results);
  }

  /** What the arms cost with these steps, before they have run. */
  private Map<String, ArmResult> arms(Experiment experiment, Map<String, Integer> steps) {
    Map<String, ArmResult> arms = new LinkedHashMap<>();
    for (Arm arm : experiment.arms()) {
      Cost cost = arm.work().cost(bench);
      arms.put(arm.name(), new ArmResult(arm.name(), cost, steps.get(arm.name()), List.of()));
    }
    return arms;
  }

  private Measurement run(
      Experiment experiment, ArmResult arm, long seed, double before, double share) {
    int steps = arm.steps();
    try (Trial trial = experiment.arm(arm.name()).work().start(bench, seed, steps)) {
      for (int i = 1; i <= steps; i++) {
        checkStop(experiment);
        double loss = trial.step();
        listener.step(arm.name(), seed, i, steps, loss, before + share * i / steps);
      }
      Measurement m = trial.finish();
      Map<String, Double> values = new HashMap<>(m.values());
      values.put(Metric.STEP_TIME.key(), 1000 * m.seconds() / steps);
      values.put(Metric.FLOPS.key(), (double) arm.cost().flops());
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
      for (Arm arm : experiment.arms()) {
        checkStop(experiment);
        paces.put(arm.name(), pace(arm));
      }
    }
    int common =
        options
            .steps()
            .orElseGet(
                () -> fitting(experiment, options, paces, options.budget() - seconds(begin)));
    Map<String, Integer> steps = new LinkedHashMap<>();
    for (Arm arm : experiment.arms()) {
      steps.put(arm.name(), (int) Math.max(1, Math.round(common * stretch(arm, paces))));
    }
    return steps;
  }

  private void checkStop(Experiment experiment) {
    if (stop.getAsBoolean()) {
      throw new Stopped(experiment.id());
    }
  }

  private static double stretch(Arm arm, Map<String, Pace> paces) {
    return arm.timeOf().map(o -> paces.get(o).step / paces.get(arm.name()).step).orElse(1.0);
  }

  /** As many steps as fit into {@code left} seconds, in tens. */
  private int fitting(
      Experiment experiment, Options options, Map<String, Pace> paces, double left) {
    double perStep = 0;
    double around = 0;
    for (Arm arm : experiment.arms()) {
      Pace pace = paces.get(arm.name());
      perStep += pace.step * stretch(arm, paces);
      around += pace.around;
    }
    double fit = (RESERVE * left / options.seeds() - around) / perStep;
    if (fit < FEWEST) {
      listener.stage(
          "%.0f s hold fewer than %d steps of each run; taking %d"
              .formatted(options.budget(), FEWEST, FEWEST));
    }
    return Math.max(FEWEST, 10 * (int) (fit / 10));
  }

  /** A few steps, and all that is done around them. */
  private Pace pace(Arm arm) {
    long begin = clock.getAsLong();
    try (Trial trial = arm.work().start(bench, 0, WARM_UP + TIMED)) {
      double around = seconds(begin);
      for (int i = 0; i < WARM_UP; i++) {
        trial.step();
      }
      long steady = clock.getAsLong();
      for (int i = 0; i < TIMED; i++) {
        trial.step();
      }
      double step = seconds(steady) / TIMED;
      long end = clock.getAsLong();
      trial.finish();
      return new Pace(step, around + seconds(end));
    }
  }

  /** Refuses arms that should have something in common and have not. */
  static void checkEqual(Experiment experiment, Map<String, ArmResult> arms) {
    for (Criterion c : experiment.criteria()) {
      for (Held held : experiment.held()) {
        double apart = held.apart(arms.get(c.system()), arms.get(c.baseline()));
        if (apart > Held.TOLERANCE && !(held.isWork() && byTime(experiment, c))) {
          throw new MoeException(
              "%s: %s and %s should have equal %s, but they are %.1f percent apart"
                  .formatted(experiment.id(), c.system(), c.baseline(), held.label(), 100 * apart));
        }
      }
    }
  }

  private static boolean byTime(Experiment experiment, Criterion c) {
    return experiment.arm(c.system()).timeOf().isPresent()
        || experiment.arm(c.baseline()).timeOf().isPresent();
  }

  private double seconds(long begin) {
    return (clock.getAsLong() - begin) * 1e-9;
  }
}
