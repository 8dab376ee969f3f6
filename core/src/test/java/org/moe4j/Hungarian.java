package org.moe4j;

import java.util.Arrays;

/**
 * The assignment problem as an oracle: the Hungarian method with potentials on a square matrix, row
 * by row, O(n^3), over doubles.
 */
final class Hungarian {
  private Hungarian() {}

  /** The largest sum of {@code scores} [T][E] with T / E tokens for each expert. */
  static double balanced(double[][] scores) {
    int tokens = scores.length;
    int experts = tokens == 0 ? 1 : scores[0].length;
    double[][] expanded = new double[tokens][tokens];
    for (int t = 0; t < tokens; t++) {
      for (int place = 0; place < tokens; place++) {
        expanded[t][place] = scores[t][place / (tokens / experts)];
      }
    }
    int[] column = maximum(expanded);
    double sum = 0;
    for (int t = 0; t < tokens; t++) {
      sum += expanded[t][column[t]];
    }
    return sum;
  }

  /** The column of each row in an assignment with the largest sum. */
  static int[] maximum(double[][] scores) {
    int n = scores.length;
    double[] u = new double[n + 1];
    double[] v = new double[n + 1];
    int[] row = new int[n + 1]; // of each column, from 1; 0 is none
    for (int i = 1; i <= n; i++) {
      int[] way = new int[n + 1];
      double[] least = new double[n + 1];
      Arrays.fill(least, Double.POSITIVE_INFINITY);
      boolean[] used = new boolean[n + 1];
      row[0] = i;
      int j = 0;
      do {
        used[j] = true;
        int next = 0;
        for (int k = 1; k <= n; k++) {
          if (!used[k]) {
            double reduced = -scores[row[j] - 1][k - 1] - u[row[j]] - v[k];
            if (reduced < least[k]) {
              least[k] = reduced;
              way[k] = j;
            }
            next = next == 0 || least[k] < least[next] ? k : next;
          }
        }
        double delta = least[next];
        for (int k = 0; k <= n; k++) {
          if (used[k]) {
            u[row[k]] += delta;
            v[k] -= delta;
          } else {
            least[k] -= delta;
          }
        }
        j = next;
      } while (row[j] != 0);
      while (j != 0) {
        row[j] = row[way[j]];
        j = way[j];
      }
    }
    int[] column = new int[n];
    for (int k = 1; k <= n; k++) {
      column[row[k] - 1] = k - 1;
    }
    return column;
  }
}
