package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * An order of rows in which similar ones are neighbours: agglomerative clustering with average
 * linkage over the Hellinger distance of the rows' shares, each merge turned so that the nearest
 * ends meet.
 */
public final class Seriation {
  private final double[][] roots;

  private Seriation(double[][] counts) {
    roots = new double[counts.length][];
    for (int i = 0; i < counts.length; i++) {
      double sum = Arrays.stream(counts[i]).sum();
      roots[i] = Arrays.stream(counts[i]).map(c -> sum > 0 ? Math.sqrt(c / sum) : 0).toArray();
    }
  }

  /** The row numbers of {@code counts} [D][E] in that order. */
  public static List<Integer> order(double[][] counts) {
    return new Seriation(counts).clustered();
  }

  private List<Integer> clustered() {
    List<List<Integer>> clusters = new ArrayList<>();
    for (int i = 0; i < roots.length; i++) {
      clusters.add(List.of(i));
    }
    while (clusters.size() > 1) {
      int a = 0;
      int b = 1;
      double nearest = Double.POSITIVE_INFINITY;
      for (int i = 0; i < clusters.size(); i++) {
        for (int j = i + 1; j < clusters.size(); j++) {
          double distance = average(clusters.get(i), clusters.get(j));
          if (distance < nearest) {
            nearest = distance;
            a = i;
            b = j;
          }
        }
      }
      clusters.set(a, joined(clusters.get(a), clusters.remove(b)));
    }
    return clusters.isEmpty() ? List.of() : clusters.getFirst();
  }

  private double average(List<Integer> a, List<Integer> b) {
    double sum = 0;
    for (int i : a) {
      for (int j : b) {
        sum += distance(i, j);
      }
    }
    return sum / a.size() / b.size();
  }

  private List<Integer> joined(List<Integer> a, List<Integer> b) {
    List<Integer> best = List.of();
    double nearest = Double.POSITIVE_INFINITY;
    for (List<Integer> left : List.of(a, a.reversed())) {
      for (List<Integer> right : List.of(b, b.reversed())) {
        double distance = distance(left.getLast(), right.getFirst());
        if (distance < nearest) {
          nearest = distance;
          best = new ArrayList<>(left);
          best.addAll(right);
        }
      }
    }
    return Collections.unmodifiableList(best);
  }

  private double distance(int i, int j) {
    double sum = 0;
    for (int e = 0; e < roots[i].length; e++) {
      double d = roots[i][e] - roots[j][e];
      sum += d * d;
    }
    return Math.sqrt(sum);
  }
}
