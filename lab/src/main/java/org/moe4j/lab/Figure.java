package org.moe4j.lab;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.moe4j.tensor.MoeException;

/**
 * A chart of a report over another axis than the steps: a capacity factor, a budget, an expert.
 *
 * @param title what it shows
 * @param x the axis to the right
 * @param y the axis upwards
 * @param series what is drawn; the first is the system's, the second its baseline's
 */
public record Figure(String title, Axis x, Axis y, List<Series> series) {
  /** Copies the series. */
  public Figure {
    series = List.copyOf(series);
  }

  /** The figures of an experiment's results; called after all arms have run. */
  @FunctionalInterface
  public interface Drawing {
    /** None. */
    Drawing NONE = results -> List.of();

    /** Draws. */
    List<Figure> of(Results results);
  }

  /**
   * An axis.
   *
   * @param label the quantity and its unit
   * @param logarithmic whether equal ratios have equal lengths
   * @param names what stands at 0, 1, 2 and so on in place of the numbers; numbers if empty
   */
  public record Axis(String label, boolean logarithmic, List<String> names) {
    /** Copies the names. */
    public Axis {
      names = List.copyOf(names);
    }

    /** Of numbers at equal distances. */
    public static Axis linear(String label) {
      return new Axis(label, false, List.of());
    }

    /** Of numbers larger than 0 at distances of their ratios. */
    public static Axis log(String label) {
      return new Axis(label, true, List.of());
    }

    /** Of things without an order of numbers. */
    public static Axis named(String label, List<String> names) {
      return new Axis(label, false, names);
    }
  }

  /** How a series is drawn. */
  public enum Style {
    /** A line through points, with a band from the lowest to the highest seed. */
    LINE,
    /** A line without points, as of a formula that was fitted. */
    FIT,
    /** Points alone. */
    POINTS,
    /** Bars from 0. */
    BARS
  }

  /** A value at {@code x}, and how far the seeds reach. */
  public record Point(double x, double y, double lowest, double highest) {
    /** One value. */
    public static Point of(double x, double y) {
      return new Point(x, y, y, y);
    }

    /** The mean of the seeds' values. */
    public static Point of(double x, List<Double> seeds) {
      return new Point(
          x,
          Statistics.mean(seeds),
          seeds.stream().mapToDouble(v -> v).min().orElse(Double.NaN),
          seeds.stream().mapToDouble(v -> v).max().orElse(Double.NaN));
    }
  }

  /** Points that belong together, in the order in which a line goes through them. */
  public record Series(String name, Style style, List<Point> points) {
    /** Copies the points. */
    public Series {
      points = List.copyOf(points);
    }

    /** Through these coordinates. */
    public static Series of(String name, Style style, double[] x, double[] y) {
      if (x.length != y.length) {
        throw new MoeException(name + ": " + x.length + " x, but " + y.length + " y");
      }
      List<Point> points = new ArrayList<>();
      for (int i = 0; i < x.length; i++) {
        points.add(Point.of(x[i], y[i]));
      }
      return new Series(name, style, points);
    }

    /** A line through one quantity of several arms, each at its x: a sweep with an arm a point. */
    public static Series overArms(
        String name, Results results, Metric metric, Map<Double, String> arms) {
      List<Point> points = new ArrayList<>();
      new TreeMap<>(arms)
          .forEach((x, arm) -> points.add(Point.of(x, results.values(arm, metric.key()))));
      return new Series(name, Style.LINE, points);
    }

    /** A line through several quantities of one arm: a sweep over one trained model. */
    public static Series overValues(
        String name, Results results, String arm, Map<Double, String> keys) {
      List<Point> points = new ArrayList<>();
      new TreeMap<>(keys).forEach((x, key) -> points.add(Point.of(x, results.values(arm, key))));
      return new Series(name, Style.LINE, points);
    }
  }
}
