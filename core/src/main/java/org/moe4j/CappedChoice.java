package org.moe4j;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import org.moe4j.tensor.MoeException;

/**
 * Expert choice with a limit b of experts per token (S19, section 3.2): find A [E,n] that maximises
 * {@code <S^T, A> + lambda H(A)} where every expert's row sums to k, no token's column exceeds b
 * and entries lie in 0..1. The experts then take their k largest entries of A.
 *
 * <p>Work and memory are O(E n) per round. All is computed in F64 and in logarithms: at the paper's
 * lambda of 0.001 the entries themselves underflow.
 */
public final class CappedChoice {
  /** How the programme is solved. */
  public enum Solver {
    /**
     * Alternates exact solutions of rows and columns while lambda falls from 0.1 to its value.
     * Reaches the optimum at the paper's lambda in some hundred rounds.
     */
    ANNEALED,
    /**
     * The paper's: Dykstra's alternating projections (by Kullback-Leibler divergence) onto rows,
     * columns and box. With the paper's lambda 0.001 and 100 iterations it is far from converged:
     * rows miss k by up to all of it. With 0.01 and 1000 iterations it converges.
     */
    DYKSTRA
  }

  private static final double[] SCHEDULE = {0.1, 0.05, 0.02, 0.01, 0.005, 0.002};

  /**
   * What was found.
   *
   * @param ranking [E][n] what each expert ranks its tokens by: increasing with A, but without the
   *     ties of entries at 1 or below the smallest number
   * @param logA [E][n] natural logarithm of A, at most 0
   * @param rowError the largest distance of a row's sum from k, relative to k
   * @param columnExcess the most by which a column exceeds b, at least 0
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Solution(
      double[][] ranking, double[][] logA, double rowError, double columnExcess) {}

  private final double[][] scores;
  private final int experts;
  private final int tokens;
  private final int perExpert;
  private final double limit;

  private CappedChoice(double[][] scores, int perExpert, double limit) {
    this.scores = scores;
    this.experts = scores.length;
    this.tokens = experts == 0 ? 0 : scores[0].length;
    this.perExpert = perExpert;
    this.limit = limit;
    if (perExpert < 1 || perExpert > tokens || (double) experts * perExpert > limit * tokens) {
      throw new MoeException(
          "expert choice with "
              + experts
              + " experts of "
              + perExpert
              + " tokens each and at most "
              + limit
              + " experts for each of "
              + tokens
              + " tokens has no solution; raise the cap or lower top-k");
    }
  }

  /**
   * Solves the programme.
   *
   * @param scores [E][n] finite
   * @param perExpert k
   * @param limit b
   * @param lambda weight of the entropy, above 0
   * @param iterations of Dykstra's projections; rounds at each lambda of the annealed solver
   * @throws MoeException if no A can satisfy the limits, naming them
   */
  public static Solution solve(
      Solver solver,
      double[][] scores,
      int perExpert,
      double limit,
      double lambda,
      int iterations) {
    if (!(lambda > 0) || iterations < 1) {
      throw new MoeException(
          "capped expert choice with entropy "
              + lambda
              + " and "
              + iterations
              + " iterations; give numbers above 0");
    }
    CappedChoice problem = new CappedChoice(scores, perExpert, limit);
    return switch (solver) {
      case ANNEALED -> problem.annealed(lambda, iterations);
      case DYKSTRA -> problem.dykstra(lambda, iterations);
    };
  }

  private Solution annealed(double lambda, int rounds) {
    double[] row = new double[experts];
    double[] column = new double[tokens];
    for (double larger : SCHEDULE) {
      if (larger > lambda) {
        balance(row, column, larger, rounds);
      }
    }
    balance(row, column, lambda, rounds);
    double[][] ranking = new double[experts][tokens];
    double[][] logA = new double[experts][tokens];
    for (int e = 0; e < experts; e++) {
      for (int t = 0; t < tokens; t++) {
        ranking[e][t] = scores[e][t] + row[e] + column[t];
        logA[e][t] = Math.min(0, ranking[e][t] / lambda);
      }
    }
    return solution(ranking, logA);
  }

  /** Columns, then rows, each exactly, until nothing moves. */
  private void balance(double[] row, double[] column, double lambda, int rounds) {
    for (int round = 0; round < rounds; round++) {
      double moved = 0;
      for (int t = 0; t < tokens; t++) {
        int token = t;
        double level = level(experts, e -> (scores[e][token] + row[e]) / lambda, limit);
        double next = Math.min(0, lambda * level);
        moved = Math.max(moved, Math.abs(next - column[t]));
        column[t] = next;
      }
      for (int e = 0; e < experts; e++) {
        int expert = e;
        double level = level(tokens, t -> (scores[expert][t] + column[t]) / lambda, perExpert);
        double next = lambda * level;
        moved = Math.max(moved, Math.abs(next - row[e]));
        row[e] = next;
      }
      if (moved < 1e-12) {
        return;
      }
    }
  }

  /**
   * The s for which the sum over i of min(1, exp(v_i + s)) is {@code target}. Entries that reach 1
   * at an s that is too small reach it at the right one, so they are set aside and s is computed
   * again until no more do.
   */
  private static double level(int n, IntToDoubleFunction v, double target) {
    double[] values = new double[n];
    Arrays.setAll(values, v);
    if (target >= n) {
      return -Arrays.stream(values).min().orElse(0);
    }
    double s = Double.NEGATIVE_INFINITY;
    while (true) {
      int full = 0;
      double max = Double.NEGATIVE_INFINITY;
      for (double value : values) {
        if (value + s > 0) {
          full++;
        } else {
          max = Math.max(max, value);
        }
      }
      if (full >= target) {
        return s;
      }
      double sum = 0;
      for (double value : values) {
        // Below e^-40 of the largest an entry does not change the sum.
        if (value + s <= 0 && value - max > -40) {
          sum += Math.exp(value - max);
        }
      }
      s = Math.log((target - full) / sum) - max;
      if (max + s <= 0) {
        return s;
      }
    }
  }

  private Solution dykstra(double lambda, int iterations) {
    double[][] log = new double[experts][tokens];
    for (int e = 0; e < experts; e++) {
      for (int t = 0; t < tokens; t++) {
        log[e][t] = scores[e][t] / lambda;
      }
    }
    double[][] rows = new double[experts][tokens];
    double[][] columns = new double[experts][tokens];
    double[][] box = new double[experts][tokens];
    Solution found = solution(log, log);
    for (int i = 0; i < iterations; i++) {
      add(log, rows);
      for (int e = 0; e < experts; e++) {
        double[] row = log[e];
        double shift = Math.log(perExpert) - logSum(tokens, t -> row[t]);
        for (int t = 0; t < tokens; t++) {
          rows[e][t] = -shift;
          row[t] += shift;
        }
      }
      add(log, columns);
      for (int t = 0; t < tokens; t++) {
        int token = t;
        double shift = Math.min(0, Math.log(limit) - logSum(experts, e -> log[e][token]));
        for (int e = 0; e < experts; e++) {
          columns[e][t] = -shift;
          log[e][t] += shift;
        }
      }
      add(log, box);
      for (int e = 0; e < experts; e++) {
        for (int t = 0; t < tokens; t++) {
          box[e][t] = Math.max(log[e][t], 0);
          log[e][t] = Math.min(log[e][t], 0);
        }
      }
      found = solution(log, log);
      if (found.rowError < 1e-3 && found.columnExcess < 1e-3 * limit) {
        return found;
      }
    }
    return found;
  }

  private static void add(double[][] to, double[][] what) {
    for (int e = 0; e < to.length; e++) {
      for (int t = 0; t < to[e].length; t++) {
        to[e][t] += what[e][t];
      }
    }
  }

  private static double logSum(int n, IntToDoubleFunction v) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      max = Math.max(max, v.applyAsDouble(i));
    }
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += Math.exp(v.applyAsDouble(i) - max);
    }
    return max + Math.log(sum);
  }

  private Solution solution(double[][] ranking, double[][] logA) {
    double rowError = 0;
    double excess = 0;
    double[] columns = new double[tokens];
    for (int e = 0; e < experts; e++) {
      double sum = 0;
      for (int t = 0; t < tokens; t++) {
        double a = Math.exp(logA[e][t]);
        sum += a;
        columns[t] += a;
      }
      rowError = Math.max(rowError, Math.abs(sum - perExpert) / perExpert);
    }
    for (double column : columns) {
      excess = Math.max(excess, column - limit);
    }
    return new Solution(ranking, logA, rowError, excess);
  }
}
