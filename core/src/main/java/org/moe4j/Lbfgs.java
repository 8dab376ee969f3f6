package org.moe4j;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;

/**
 * Minimises a convex function with L-BFGS: the inverse Hessian from the last ten steps, a line
 * search by bisection for the weak Wolfe conditions, which also ends where there are kinks.
 */
final class Lbfgs {
  private static final int MEMORY = 10;
  private static final double DECREASE = 1e-4;
  private static final double CURVATURE = 0.9;
  private static final int TRIALS = 60;

  /** A function with its gradient. */
  @FunctionalInterface
  interface Function {
    /** The value at {@code x}; fills the gradient. */
    double at(double[] x, double[] gradient);
  }

  private record Pair(double[] step, double[] change, double product) {}

  private Lbfgs() {}

  /**
   * The place where the largest slope is at most {@code tolerance}, or where no progress is made,
   * or reached after {@code iterations}.
   */
  static double[] minimise(Function f, double[] start, double tolerance, int iterations) {
    double[] x = start.clone();
    double[] gradient = new double[x.length];
    double value = f.at(x, gradient);
    Deque<Pair> pairs = new ArrayDeque<>();
    for (int i = 0; i < iterations && largest(gradient) > tolerance; i++) {
      double[] direction = direction(gradient, pairs);
      double[] next = new double[x.length];
      double[] slopes = new double[x.length];
      double found = search(f, x, value, gradient, direction, next, slopes);
      if (Double.isNaN(found)) {
        if (pairs.isEmpty()) {
          break;
        }
        pairs.clear(); // once more, straight down
        continue;
      }
      double[] step = minus(next, x);
      double[] change = minus(slopes, gradient);
      double product = dot(step, change);
      if (product > 1e-300) {
        pairs.addFirst(new Pair(step, change, product));
        if (pairs.size() > MEMORY) {
          pairs.removeLast();
        }
      }
      x = next;
      gradient = slopes;
      value = found;
    }
    return x;
  }

  /** The value at the place found, which fills {@code next} and {@code slopes}; NaN if none. */
  private static double search(
      Function f,
      double[] x,
      double value,
      double[] gradient,
      double[] direction,
      double[] next,
      double[] slopes) {
    double slope = dot(gradient, direction);
    double low = 0;
    double high = Double.POSITIVE_INFINITY;
    double t = 1;
    for (int trial = 0; trial < TRIALS; trial++) {
      for (int i = 0; i < x.length; i++) {
        next[i] = x[i] + t * direction[i];
      }
      double found = f.at(next, slopes);
      if (!(found <= value + DECREASE * t * slope)) {
        high = t;
      } else if (dot(slopes, direction) < CURVATURE * slope) {
        low = t;
      } else {
        return found;
      }
      t = high < Double.POSITIVE_INFINITY ? (low + high) / 2 : 2 * low;
    }
    return Double.NaN;
  }

  private static double[] direction(double[] gradient, Deque<Pair> pairs) {
    double[] d = new double[gradient.length];
    for (int i = 0; i < d.length; i++) {
      d[i] = -gradient[i];
    }
    double[] weights = new double[pairs.size()];
    int n = 0;
    for (Pair p : pairs) {
      weights[n] = dot(p.step, d) / p.product;
      add(d, p.change, -weights[n++]);
    }
    if (!pairs.isEmpty()) {
      Pair last = pairs.getFirst();
      double scale = last.product / dot(last.change, last.change);
      for (int i = 0; i < d.length; i++) {
        d[i] *= scale;
      }
    }
    for (Iterator<Pair> back = pairs.descendingIterator(); back.hasNext(); ) {
      Pair p = back.next();
      add(d, p.step, weights[--n] - dot(p.change, d) / p.product);
    }
    return d;
  }

  private static void add(double[] to, double[] v, double factor) {
    for (int i = 0; i < to.length; i++) {
      to[i] += factor * v[i];
    }
  }

  private static double[] minus(double[] a, double[] b) {
    double[] c = a.clone();
    add(c, b, -1);
    return c;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double largest(double[] v) {
    double max = 0;
    for (double x : v) {
      max = Math.max(max, Math.abs(x));
    }
    return max;
  }
}
