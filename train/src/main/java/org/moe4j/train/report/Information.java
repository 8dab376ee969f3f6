package org.moe4j.train.report;

import java.util.Arrays;

/** Entropy and mutual information of counts, in bits. */
public final class Information {
  private static final double LN_2 = Math.log(2);

  private Information() {}

  /** The entropy of the distribution that {@code counts} are proportional to; 0 of nothing. */
  public static double entropy(double[] counts) {
    double sum = Arrays.stream(counts).sum();
    double bits = 0;
    for (double count : counts) {
      bits -= count > 0 ? count / sum * Math.log(count / sum) / LN_2 : 0;
    }
    return bits;
  }

  /**
   * The mutual information of row and column of a table of counts [R][C]: 0 if every row has the
   * same shares. Estimated from counts, so a little above 0 for chance alone.
   */
  public static double mutual(double[][] counts) {
    int columns = counts.length == 0 ? 0 : counts[0].length;
    double[] rowSums = Arrays.stream(counts).mapToDouble(r -> Arrays.stream(r).sum()).toArray();
    double[] columnSums = columns(counts, columns);
    double[] cells = new double[counts.length * columns];
    for (int r = 0; r < counts.length; r++) {
      System.arraycopy(counts[r], 0, cells, r * columns, columns);
    }
    return Math.max(0, entropy(rowSums) + entropy(columnSums) - entropy(cells));
  }

  /** The sum of each column of {@code counts} [R][columns]. */
  public static double[] columns(double[][] counts, int columns) {
    double[] sums = new double[columns];
    for (double[] row : counts) {
      for (int c = 0; c < columns; c++) {
        sums[c] += row[c];
      }
    }
    return sums;
  }
}
