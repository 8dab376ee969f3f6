package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Ops;

/**
 * Runs experiments. A budget of seconds becomes a number of steps by a short calibration; with this
 * number as {@link Options#steps} a run gives the same again, except for arms that are given
 * another arm's time.
 *
 * <p>Models of this size leave a second core idle most of the time, so on a processor as many runs
 * go on side by side as there are threads, each on a thread of its own. Experiments that judge by
 * time run one trial after the other, with all threads.
 */
public final class Laboratory {
  private static final long REUSED_BLOCK = 1L << 30;
  private static final int WARM_UP = 2;
  private static final int TIMED = 4;
  private static final int FEWEST = 20;

  /** Steps that a run is told of whose end is not known. */
  private static final int NOMINAL = 100_000;

  /** The share of the budget that steps are timed for, and as much before it to get compiled. */
  private static final double CALIBRATION = 0.04;

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

  /** One run to come. */
  private record Run(Arm arm, long seed) {
    /** What it trains, equal for runs that share it. */
    Object training() {
      return List.of(arm.work().training(), arm.timeOf(), seed);
    }
  }

  private final Bench bench;
  private final ExperimentListener listener;
  private final BooleanSupplier stop;
  private final LongSupplier clock;
  private final int threads;

  /** A laboratory on {@code bench}. */
  public Laboratory(Bench bench, ExperimentListener listener) {
    this(bench, listener, () -> false);
  }

  /** A laboratory that is asked to stop when {@code stop} says so, which is looked at each step. */
  public Laboratory(Bench bench, ExperimentListener listener, BooleanSupplier stop) {
    this(
        bench,
        listener,
        stop,
        System::nanoTime,
        bench.device().equals(Device.CPU) ? Ops.threads() : 1);
  }

  /**
   * A laboratory whose calibration reads {@code clock}, in nanoseconds, and that has so many runs
   * side by side.
   */
  Laboratory(
      Bench bench,
      ExperimentListener listener,
      BooleanSupplier stop,
      LongSupplier clock,
      int threads) {
    this.bench = bench;
    this.listener = listener;
    this.stop = stop;
    this.clock = clock;
    this.threads = threads;
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
    List<Long> seeds = LongStream.rangeClosed(1, options.seeds()).boxed().toList();
    Progress progress =
        new Progress(options.seeds() * arms.values().stream().mapToLong(ArmResult::steps).sum());
    List<Run> runs = runs(experiment, seeds);
    List<Measurement> done =
        SideBySide.run(
            lanes(experiment, options),
            runs,
            (run, failed) -> run(experiment, arms.get(run.arm.name()), run.seed, progress, failed));
    Map<String, List<Measurement>> ofArm = new HashMap<>();
    for (int i = 0; i < done.size(); i++) {
      ofArm.computeIfAbsent(runs.get(i).arm.name(), name -> new ArrayList<>()).add(done.get(i));
    }
    Results results =
        new Results(
            arms.values().stream().map(arm -> arm.with(ofArm.get(arm.name()))).toList(),
            seeds,
            seconds(begin));
    return experiment.derivation().of(results);
  }

  /**
   * Seed by seed, since drifts of the machine's speed should hit all arms; behind them those that
   * share what others have trained.
   */
  private static List<Run> runs(Experiment experiment, List<Long> seeds) {
    Set<Object> trained = new HashSet<>();
    Map<Boolean, List<Run>> runs =
        seeds.stream()
            .flatMap(seed -> experiment.arms().stream().map(arm -> new Run(arm, seed)))
            .collect(Collectors.partitioningBy(run -> trained.add(run.training())));
    return Stream.concat(runs.get(true).stream(), runs.get(false).stream()).toList();
  }

  /** How many runs go on at once. */
  private int lanes(Experiment experiment, Options options) {
    return experiment.isTimed() ? 1 : Math.min(threads, options.seeds() * experiment.arms().size());
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
      Experiment experiment,
      ArmResult arm,
      long seed,
      Progress progress,
      BooleanSupplier otherFailed) {
    int steps = arm.steps();
    try (Trial trial = experiment.arm(arm.name()).work().start(bench, seed, steps)) {
      double[] took = new double[steps];
      for (int i = 1; i <= steps; i++) {
        if (stop.getAsBoolean() || otherFailed.getAsBoolean()) {
          throw new Stopped(experiment.id());
        }
        long begin = clock.getAsLong();
        double loss = trial.step();
        took[i - 1] = seconds(begin);
        progress.step(arm.name(), seed, i, steps, loss);
      }
      Measurement m = trial.finish();
      Map<String, Double> values = new HashMap<>(m.values());
      // Other work on the machine makes some steps slow, but not most.
      values.put(Metric.STEP_TIME.key(), 1000 * Statistics.median(took));
      values.put(Metric.FLOPS.key(), (double) arm.cost().flops());
      return new Measurement(values, m.curves(), m.routing(), m.seconds());
    }
  }

  /** Counts the steps of all runs, and tells the listener of them one by one. */
  private final class Progress {
    private final long all;
    private long done;

    private Progress(long all) {
      this.all = all;
    }

    private synchronized void step(String arm, long seed, int step, int steps, double loss) {
      done++;
      listener.step(arm, seed, step, steps, loss, (double) done / all);
    }
  }

  /** The steps of each arm. */
  private Map<String, Integer> steps(Experiment experiment, Options options, long begin) {
    Map<String, Pace> paces = new HashMap<>();
    boolean equalTime = experiment.arms().stream().anyMatch(arm -> arm.timeOf().isPresent());
    if (options.steps().isEmpty() || equalTime) {
      listener.stage("measuring the time of a step");
      int lanes = lanes(experiment, options);
      Map<Object, Pace> ofTraining = new HashMap<>();
      double share = CALIBRATION * options.budget();
      // The first steps of all are slow: nothing is compiled yet.
      pace(experiment.arms().getFirst(), lanes, share);
      for (Arm arm : experiment.arms()) {
        if (stop.getAsBoolean()) {
          throw new Stopped(experiment.id());
        }
        Object training = arm.work().training();
        if (!ofTraining.containsKey(training)) {
          ofTraining.put(training, pace(arm, lanes, share / experiment.arms().size()));
        }
        paces.put(arm.name(), ofTraining.get(training));
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

  private static double stretch(Arm arm, Map<String, Pace> paces) {
    return arm.timeOf().map(o -> paces.get(o).step / paces.get(arm.name()).step).orElse(1.0);
  }

  /** As many steps as fit into {@code left} seconds, in tens. */
  private int fitting(
      Experiment experiment, Options options, Map<String, Pace> paces, double left) {
    int lanes = lanes(experiment, options);
    List<Run> runs = runs(experiment, LongStream.rangeClosed(1, options.seeds()).boxed().toList());
    int steps = 0;
    double limit = RESERVE * left;
    while (seconds(runs, paces, lanes, steps + 10) <= limit) {
      steps += 10;
    }
    if (steps < FEWEST) {
      listener.stage(
          "%.0f s hold fewer than %d steps of each run; taking %d"
              .formatted(options.budget(), FEWEST, FEWEST));
    }
    return Math.max(FEWEST, steps);
  }

  /** Seconds that all runs take if each lane begins the next one when it is free. */
  private static double seconds(List<Run> runs, Map<String, Pace> paces, int lanes, int steps) {
    PriorityQueue<Double> free = new PriorityQueue<>(Collections.nCopies(lanes, 0.0));
    double end = 0;
    Set<Object> trained = new HashSet<>();
    for (Run run : runs) {
      Pace pace = paces.get(run.arm.name());
      double stepping =
          trained.add(run.training()) ? steps * pace.step * stretch(run.arm, paces) : 0;
      double own = free.remove() + pace.around + stepping;
      free.add(own);
      end = Math.max(end, own);
    }
    return end;
  }

  /** The mean pace of the arm where so many of its runs go on at once, for about so long. */
  private Pace pace(Arm arm, int lanes, double wanted) {
    List<Pace> each =
        SideBySide.run(lanes, Collections.nCopies(lanes, arm), (a, failed) -> pace(a, wanted));
    return new Pace(
        each.stream().mapToDouble(Pace::step).average().orElseThrow(),
        each.stream().mapToDouble(Pace::around).average().orElseThrow());
  }

  /** Steps for {@code wanted} seconds, a few at least, and all that is done around them. */
  private Pace pace(Arm arm, double wanted) {
    long begin = clock.getAsLong();
    try (Trial trial = arm.work().start(bench, 0, NOMINAL)) {
      double around = seconds(begin);
      steps(trial, WARM_UP, wanted / 4);
      long steady = clock.getAsLong();
      int timed = steps(trial, TIMED, wanted * 3 / 4);
      double step = seconds(steady) / timed;
      long end = clock.getAsLong();
      trial.finish();
      return new Pace(step, around + seconds(end));
    }
  }

  private int steps(Trial trial, int atLeast, double wanted) {
    long begin = clock.getAsLong();
    int steps = 0;
    while (steps < atLeast || seconds(begin) < wanted) {
      trial.step();
      steps++;
    }
    return steps;
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
