package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The training of a grid with one seed, which several arms read: each drives it to the step that it
 * wants, and whoever comes first does the work. For several threads.
 */
final class GridTraining implements AutoCloseable {
  private final List<Trial> trials;
  private final List<Double> means = new ArrayList<>();
  private final List<Double> losses = new ArrayList<>();
  private final Set<String> readers = new HashSet<>();
  private double seconds;

  private GridTraining(ModelGrid grid, Bench bench, long seed, int steps) {
    trials =
        new ArrayList<>(
            grid.models().stream().map(m -> m.arm().start(bench, seed, steps)).toList());
  }

  /** The trainings of a bench. */
  private static final class Kept {
    private final Map<List<Object>, GridTraining> all = new HashMap<>();
  }

  /**
   * The training with this seed. A reader that asks again gets a new one: its time is being
   * measured.
   */
  static synchronized GridTraining of(
      String reader, ModelGrid grid, Bench bench, long seed, int steps) {
    Map<List<Object>, GridTraining> all = bench.kept(Kept.class, GridTraining.class, Kept::new).all;
    List<Object> key = List.of(grid, seed, steps);
    GridTraining training = all.get(key);
    if (training == null || training.readers.contains(reader)) {
      training = new GridTraining(grid, bench, seed, steps);
      all.put(key, training);
    }
    training.readers.add(reader);
    return training;
  }

  /** The mean loss of all models in a step, counted from 0. */
  synchronized double step(int step) {
    while (means.size() <= step) {
      means.add(trials.stream().mapToDouble(Trial::step).average().orElse(Double.NaN));
    }
    return means.get(step);
  }

  /** The final loss on held-out text, of each model. */
  synchronized List<Double> losses() {
    for (Trial trial : trials) {
      Measurement end = trial.finish();
      losses.add(end.values().get(Metric.LOSS.key()));
      seconds += end.seconds();
      trial.close();
    }
    trials.clear();
    return List.copyOf(losses);
  }

  /** The mean loss over the steps. */
  synchronized List<Double> means() {
    return List.copyOf(means);
  }

  /** Seconds of all steps. */
  synchronized double seconds() {
    return seconds;
  }

  /** Ends models that were not trained to their end. */
  @Override
  public synchronized void close() {
    trials.forEach(Trial::close);
    trials.clear();
  }
}
