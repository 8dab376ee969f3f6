package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.MoeException;

/**
 * Optimal transport with at most k non-zeros in every column (S23): a plan P [m,n] of m row masses
 * a and n column masses b that minimises {@code sum P C + gamma/2 sum P^2}. It is solved in the
 * semi-dual, over one number per row:
 *
 * <pre>
 *   max over alpha of  alpha a - sum_j F_j(alpha - c_j),
 *   F_j(s) = max { s t - gamma/2 |t|^2 : t >= 0, sum t = b_j, at most k non-zeros }
 * </pre>
 *
 * <p>Columns of the plan {@code t_j = b_j p}, {@code p} the sparse projection of {@code s / (gamma
 * b_j)} on the simplex, keep their masses and their sparsity at every alpha. Row masses are met at
 * the maximum if no column has a tie there; with small k the maximum usually lies on ties, and they
 * stay violated. For k = m this is transport with a quadratic regulariser.
 *
 * <p>Matrices are given column by column: entry (i, j) is at {@code j m + i}.
 */
public final class SparseTransport {
  private static final double FIRST_DECAY = 0.9;
  private static final double SECOND_DECAY = 0.999;
  private static final double EPSILON = 1e-8;

  /** Below, costs over gamma might overflow. */
  private static final double LEAST_GAMMA = 1e-12;

  private final double[] cost;
  private final double[] a;
  private final double[] b;
  private final double gamma;
  private final SparseSimplex simplex;
  private final double[] column;

  /**
   * A problem.
   *
   * @param cost [n,m]
   * @param a [m] masses of rows
   * @param b [n] masses of columns, with the same sum
   * @param k non-zeros of a column, 1..m
   * @throws MoeException in one line, if the numbers are impossible
   */
  public SparseTransport(double[] cost, double[] a, double[] b, double gamma, int k) {
    if (cost.length != (long) a.length * b.length) {
      throw refused(cost.length + " costs for " + a.length + " rows x " + b.length + " columns");
    }
    if (k < 1 || k > a.length) {
      throw refused("k = " + k + " non-zeros in columns of " + a.length);
    }
    if (!(gamma >= LEAST_GAMMA) || Double.isInfinite(gamma)) {
      throw refused("gamma " + gamma + "; give a number above 0, at least " + LEAST_GAMMA);
    }
    if (!mass(a) || !mass(b)) {
      throw refused("a mass is negative or not finite");
    }
    double rows = Arrays.stream(a).sum();
    double columns = Arrays.stream(b).sum();
    if (Math.abs(rows - columns) > 1e-6 * Math.max(1, rows)) {
      throw refused("rows of mass " + rows + " and columns of mass " + columns);
    }
    if (!Arrays.stream(cost).allMatch(Double::isFinite)) {
      throw refused("a cost is not finite");
    }
    this.cost = cost.clone();
    this.a = a.clone();
    this.b = b.clone();
    this.gamma = gamma;
    this.simplex = new SparseSimplex(a.length, k);
    this.column = new double[a.length];
  }

  private static boolean mass(double[] v) {
    return Arrays.stream(v).allMatch(x -> x >= 0 && Double.isFinite(x));
  }

  private static MoeException refused(String what) {
    return new MoeException("sparse transport: " + what);
  }

  /**
   * The semi-dual at {@code alpha}: at its maximum the cost of the transport.
   *
   * @param gradient [m] is filled with row masses minus those of the plan
   */
  public double value(double[] alpha, double[] gradient) {
    System.arraycopy(a, 0, gradient, 0, a.length);
    double value = 0;
    for (int i = 0; i < a.length; i++) {
      value += alpha[i] * a[i];
    }
    for (int j = 0; j < b.length; j++) {
      if (b[j] > 0) {
        fill(alpha, j);
        for (int i = 0; i < a.length; i++) {
          double t = b[j] * column[i];
          if (t > 0) {
            value -= t * (alpha[i] - cost[j * a.length + i]) - gamma / 2 * t * t;
            gradient[i] -= t;
          }
        }
      }
    }
    return value;
  }

  /** The plan at {@code alpha}, [n,m]. */
  public double[] plan(double[] alpha) {
    double[] plan = new double[cost.length];
    for (int j = 0; j < b.length; j++) {
      if (b[j] > 0) {
        fill(alpha, j);
        for (int i = 0; i < a.length; i++) {
          plan[j * a.length + i] = b[j] * column[i];
        }
      }
    }
    return plan;
  }

  /** p of column j. */
  private void fill(double[] alpha, int j) {
    double scale = 1 / (gamma * b[j]);
    for (int i = 0; i < a.length; i++) {
      column[i] = (alpha[i] - cost[j * a.length + i]) * scale;
    }
    simplex.project(column);
  }

  /**
   * Alpha after some steps of Adam uphill from 0, with the usual decays 0.9 and 0.999: the solver
   * of the routers.
   */
  public double[] adam(double rate, int iterations) {
    double[] alpha = new double[a.length];
    double[] gradient = new double[a.length];
    double[] mean = new double[a.length];
    double[] square = new double[a.length];
    for (int step = 1; step <= iterations; step++) {
      value(alpha, gradient);
      double first = 1 - Math.pow(FIRST_DECAY, step);
      double second = 1 - Math.pow(SECOND_DECAY, step);
      for (int i = 0; i < a.length; i++) {
        mean[i] = FIRST_DECAY * mean[i] + (1 - FIRST_DECAY) * gradient[i];
        square[i] = SECOND_DECAY * square[i] + (1 - SECOND_DECAY) * gradient[i] * gradient[i];
        alpha[i] += rate * (mean[i] / first) / (Math.sqrt(square[i] / second) + EPSILON);
      }
    }
    return alpha;
  }

  /** Alpha by L-BFGS from 0, until no row mass is off by more than {@code tolerance}. */
  public double[] lbfgs(double tolerance, int iterations) {
    Lbfgs.Function negative =
        (alpha, gradient) -> {
          double value = value(alpha, gradient);
          for (int i = 0; i < gradient.length; i++) {
            gradient[i] = -gradient[i];
          }
          return -value;
        };
    return Lbfgs.minimise(negative, new double[a.length], tolerance, iterations);
  }
}
