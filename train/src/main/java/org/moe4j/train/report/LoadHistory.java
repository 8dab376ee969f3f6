package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * How many tokens each expert of each sparse layer was given, over the steps of a run: exact sums
 * over stretches of logged steps. Whenever there are too many stretches, neighbours are joined, so
 * a run of any length takes the same room.
 */
final class LoadHistory {
  /** Stretches times experts that a page holds at most. */
  private static final int MOST_CELLS = 50_000;

  private static final int MOST_STRETCHES = 128;

  /** Beyond this many experts in all layers a heat map shows nothing any more. */
  private static final int MOST_EXPERTS = 8192;

  /** A run of logged lines: from what step to what step, and the sum of the loads [L][E]. */
  record Stretch(double from, double to, double[][] counts) {
    Stretch joined(Stretch next) {
      double[][] sums = new double[counts.length][];
      for (int l = 0; l < sums.length; l++) {
        sums[l] = counts[l].clone();
        for (int e = 0; e < sums[l].length; e++) {
          sums[l][e] += next.counts[l][e];
        }
      }
      return new Stretch(from, next.to, sums);
    }
  }

  private final List<Stretch> stretches = new ArrayList<>();
  private final List<Series> imbalance = new ArrayList<>();
  private int[] shape = {};
  private int linesPerStretch = 1;
  private int linesInLast;
  private int refused;

  /** Adds the loads [L][E] that a line has for {@code step}; lines of another shape are refused. */
  void add(double step, JsonNode load) {
    if (load.isArray() && load.isEmpty()) {
      // A model without sparse layers.
      return;
    }
    double[][] counts =
        load.isArray()
            ? load.valueStream().map(LoadHistory::counts).toArray(double[][]::new)
            : new double[0][];
    int[] here = Arrays.stream(counts).mapToInt(layer -> layer.length).toArray();
    boolean loads =
        Arrays.stream(here).allMatch(experts -> experts > 0)
            && Arrays.stream(counts).flatMapToDouble(Arrays::stream).allMatch(c -> c >= 0);
    if (loads && imbalance.isEmpty()) {
      shape = here;
      Arrays.stream(shape).forEach(experts -> imbalance.add(new Series()));
    }
    if (!loads || here.length == 0 || !Arrays.equals(shape, here)) {
      refused++;
      return;
    }
    for (int l = 0; l < counts.length; l++) {
      imbalance.get(l).add(step, maxOverMean(counts[l]));
    }
    if (Arrays.stream(shape).sum() <= MOST_EXPERTS) {
      append(new Stretch(step, step, counts));
    }
  }

  private static double[] counts(JsonNode layer) {
    return layer
        .valueStream()
        .mapToDouble(count -> count.isNumber() ? count.doubleValue() : Double.NaN)
        .toArray();
  }

  private void append(Stretch line) {
    if (!stretches.isEmpty() && linesInLast < linesPerStretch) {
      stretches.set(stretches.size() - 1, stretches.getLast().joined(line));
      linesInLast++;
      return;
    }
    int experts = Math.max(1, Arrays.stream(shape).sum());
    if (stretches.size() >= Math.clamp(MOST_CELLS / experts, 8, MOST_STRETCHES)) {
      for (int i = 0; i < stretches.size() - 1; i++) {
        stretches.set(i, stretches.get(i).joined(stretches.remove(i + 1)));
      }
      linesPerStretch *= 2;
    }
    stretches.add(line);
    linesInLast = 1;
  }

  /** The largest of {@code loads} over their mean: 1 where all are equal, NaN where all are 0. */
  static double maxOverMean(double[] loads) {
    double sum = Arrays.stream(loads).sum();
    return sum > 0 ? Arrays.stream(loads).max().orElse(0) * loads.length / sum : Double.NaN;
  }

  /** The stretches in order; none if there are too many experts to show them all. */
  List<Stretch> stretches() {
    return List.copyOf(stretches);
  }

  /** The largest over the mean load of each layer, at every logged step. */
  List<Series> imbalance() {
    return List.copyOf(imbalance);
  }

  /** The experts of each layer. */
  int[] shape() {
    return shape.clone();
  }

  /** How many lines had something else than the loads of these layers. */
  int refused() {
    return refused;
  }
}
