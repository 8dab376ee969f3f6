package org.moe4j;

import java.util.Arrays;

/**
 * The Euclidean projection on the probability simplex with at most k non-zeros (S23, section 4):
 * the k largest entries, the first among equals, projected on their own simplex. O(n) on average,
 * and O(k log k) more where fewer than k are needed. Not for several threads at once: it has memory
 * of its own.
 */
final class SparseSimplex {
  private final int k;
  private final double[] sorted;
  private final int[] chosen;

  /** For vectors of {@code n} entries; {@code k} at least 1. */
  SparseSimplex(int n, int k) {
    this.k = Math.min(k, n);
    this.sorted = new double[n];
    this.chosen = new int[this.k];
  }

  /** Replaces {@code v} [n] by its projection. */
  void project(double[] v) {
    int n = v.length;
    double max = Double.NEGATIVE_INFINITY;
    for (double x : v) {
      max = Math.max(max, x);
    }
    // The same projection, without cancellation between large entries.
    for (int i = 0; i < n; i++) {
      v[i] -= max;
    }
    double least = largest(v);
    double sum = take(v, least);
    double tau = (sum - 1) / k;
    if (least <= tau) {
      tau = threshold(v);
    }
    for (int i = 0; i < k; i++) {
      sorted[i] = Math.max(v[chosen[i]] - tau, 0);
    }
    Arrays.fill(v, 0);
    for (int i = 0; i < k; i++) {
      v[chosen[i]] = sorted[i];
    }
  }

  /** Notes the places of the k largest, whose least is known, and returns their sum. */
  private double take(double[] v, double least) {
    int above = 0;
    for (double x : v) {
      above += x > least ? 1 : 0;
    }
    int equal = k - above;
    int n = 0;
    double sum = 0;
    for (int i = 0; n < k; i++) {
      if (v[i] > least || (v[i] == least && equal-- > 0)) {
        chosen[n++] = i;
        sum += v[i];
      }
    }
    return sum;
  }

  /** Of the k chosen, where some get nothing. */
  private double threshold(double[] v) {
    for (int i = 0; i < k; i++) {
      sorted[i] = v[chosen[i]];
    }
    Arrays.sort(sorted, 0, k);
    double sum = 0;
    double tau = 0;
    for (int r = 1; r <= k; r++) {
      double u = sorted[k - r];
      sum += u;
      if (u <= (sum - 1) / r) {
        break;
      }
      tau = (sum - 1) / r;
    }
    return tau;
  }

  /** The k-th largest entry, by partitions. */
  private double largest(double[] v) {
    System.arraycopy(v, 0, sorted, 0, v.length);
    int low = 0;
    int high = v.length - 1;
    int wanted = v.length - k;
    while (low < high) {
      double pivot = middle(sorted[low], sorted[(low + high) >>> 1], sorted[high]);
      int i = low;
      int j = high;
      while (i <= j) {
        while (sorted[i] < pivot) {
          i++;
        }
        while (sorted[j] > pivot) {
          j--;
        }
        if (i <= j) {
          double swap = sorted[i];
          sorted[i++] = sorted[j];
          sorted[j--] = swap;
        }
      }
      if (wanted <= j) {
        high = j;
      } else if (wanted >= i) {
        low = i;
      } else {
        break;
      }
    }
    return sorted[wanted];
  }

  private static double middle(double a, double b, double c) {
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }
}
