package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.moe4j.tensor.MoeException;

/**
 * Fits a scaling law by least squares on log L. With start and most given, the other coefficients
 * are those of a linear problem, so only these two are searched: a grid over their logarithms, then
 * steps to better neighbours that are halved where there are none. There are no random restarts;
 * the same points give the same law.
 */
public final class ScalingLawFit {
  private static final int FEWEST = 7;
  private static final double WIDEST = 8;
  private static final double FINEST = 1e-6;
  private static final double APART = 1e-3;

  private final ScalingLaw.Form form;
  private final List<ScalingLaw.Point> points;

  private record Candidate(double error, double logStart, double logMost, ScalingLaw law) {}

  private ScalingLawFit(ScalingLaw.Form form, List<ScalingLaw.Point> points) {
    this.form = form;
    this.points = points;
  }

  /**
   * The law of this form that fits best.
   *
   * @throws MoeException if there are fewer than seven points, or one size or number of experts
   *     alone
   */
  public static ScalingLaw of(ScalingLaw.Form form, List<ScalingLaw.Point> points) {
    long sizes = points.stream().mapToDouble(ScalingLaw.Point::parameters).distinct().count();
    long experts = points.stream().mapToDouble(ScalingLaw.Point::experts).distinct().count();
    if (points.size() < FEWEST || sizes < 2 || experts < 2) {
      throw new MoeException(
          "scaling law: %d points of %d sizes and %d numbers of experts; give %d of 2 and 2 or more"
              .formatted(points.size(), sizes, experts, FEWEST));
    }
    ScalingLawFit fit = new ScalingLawFit(form, points);
    return form.saturates()
        ? fit.searched().law
        : fit.linear(1, Double.POSITIVE_INFINITY, 0, 0).law;
  }

  /** Root of the mean squared difference of log10 L between {@code law} and {@code points}. */
  public static double error(ScalingLaw law, List<ScalingLaw.Point> points) {
    double sum = 0;
    for (ScalingLaw.Point p : points) {
      double apart = Math.log10(law.loss(p.parameters(), p.experts()) / p.loss());
      sum += apart * apart;
    }
    return Math.sqrt(sum / points.size());
  }

  /**
   * The error on points that the fit has not seen: the points are shuffled and cut into {@code
   * parts}; each part is predicted by the law of the others.
   */
  public static double heldOut(
      ScalingLaw.Form form, List<ScalingLaw.Point> points, int parts, long seed) {
    List<ScalingLaw.Point> shuffled = new ArrayList<>(points);
    Collections.shuffle(shuffled, new SplittableRandom(seed));
    double sum = 0;
    for (int part = 0; part < parts; part++) {
      List<ScalingLaw.Point> seen = new ArrayList<>();
      List<ScalingLaw.Point> unseen = new ArrayList<>();
      for (int i = 0; i < shuffled.size(); i++) {
        (i % parts == part ? unseen : seen).add(shuffled.get(i));
      }
      double error = error(of(form, seen), unseen);
      sum += error * error * unseen.size();
    }
    return Math.sqrt(sum / points.size());
  }

  private Candidate searched() {
    Candidate best = at(0, 1);
    for (double start = 0; start <= 1.5; start += 0.05) {
      for (double most = start + 0.2; most <= 5; most += 0.15) {
        best = better(best, at(start, most));
      }
    }
    double step = 0.1;
    while (step > FINEST) {
      Candidate from = best;
      for (int i = -1; i <= 1; i++) {
        for (int j = -1; j <= 1; j++) {
          double start = from.logStart + i * step;
          double most = from.logMost + j * step;
          if (start >= 0 && most >= start + APART && most <= WIDEST) {
            best = better(best, at(start, most));
          }
        }
      }
      if (from.equals(best)) {
        step /= 2;
      }
    }
    return best;
  }

  private static Candidate better(Candidate a, Candidate b) {
    return b.error < a.error * (1 - 1e-9) ? b : a;
  }

  private Candidate at(double logStart, double logMost) {
    return linear(Math.pow(10, logStart), Math.pow(10, logMost), logStart, logMost);
  }

  /** The least-squares coefficients for given start and most. */
  private Candidate linear(double start, double most, double logStart, double logMost) {
    int rows = points.size();
    double[][] columns = new double[form.interacts() ? 4 : 3][rows];
    double[] y = new double[rows];
    for (int i = 0; i < rows; i++) {
      ScalingLaw.Point p = points.get(i);
      double n = Math.log10(p.parameters());
      double e = Math.log10(ScalingLaw.effectiveExperts(p.experts(), start, most));
      columns[0][i] = 1;
      columns[1][i] = n;
      columns[2][i] = e;
      if (form.interacts()) {
        columns[3][i] = n * e;
      }
      y[i] = Math.log10(p.loss());
    }
    double[] x = LeastSquares.solve(columns, y);
    ScalingLaw law = new ScalingLaw(x[1], x[2], form.interacts() ? x[3] : 0, x[0], start, most);
    return new Candidate(error(law, points), logStart, logMost, law);
  }
}
