package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * K-means clusters: of token embeddings (S13's clustered and dispersed hashes) or of sentence
 * embeddings (the instruction clusters of S32). Lloyd's algorithm from a k-means++ start (Arthur
 * and Vassilvitskii, SODA 2007), in F64.
 */
public final class KMeans {
  private static final int MOST_ROUNDS = 100;
  private static final int CHUNK = 8192;

  private final double[] centroids;
  private final int count;
  private final int width;

  private KMeans(double[] centroids, int count) {
    this.centroids = centroids;
    this.count = count;
    this.width = centroids.length / count;
  }

  /**
   * The clusters around these centres.
   *
   * @param centroids [K,d], finite
   */
  public static KMeans of(Tensor centroids) {
    return new KMeans(points(centroids), Math.toIntExact(centroids.size(0)));
  }

  /**
   * Finds {@code clusters} clusters. A cluster that loses all of its points goes on at the point
   * that is farthest from its centre.
   *
   * @param points [N,d], finite; at least as many as clusters
   * @param random decides the start
   */
  public static KMeans fit(Tensor points, int clusters, RandomSource random) {
    double[] rows = points(points);
    int n = Math.toIntExact(points.size(0));
    if (clusters < 1 || clusters > n) {
      throw new MoeException(
          clusters + " clusters of " + n + " points; give 1 to " + n + " clusters");
    }
    int d = rows.length / n;
    KMeans found = new KMeans(start(rows, n, d, clusters, random), clusters);
    long[] before = new long[0];
    for (int round = 0; round < MOST_ROUNDS; round++) {
      Nearest nearest = found.nearest(rows, n);
      if (Arrays.equals(nearest.cluster, before)) {
        return found;
      }
      before = nearest.cluster;
      found = new KMeans(means(rows, d, nearest, clusters), clusters);
    }
    return found;
  }

  private static double[] points(Tensor points) {
    if (points.dim() != 2 || points.numel() == 0) {
      throw new MoeException("points are " + points + "; give [points, width]");
    }
    if (!points.allFinite()) {
      throw new MoeException("points to be clustered hold NaN or infinity");
    }
    return points.toDoubles();
  }

  /** Each next centre is a point, with chances by its squared distance from the nearest so far. */
  private static double[] start(double[] rows, int n, int d, int clusters, RandomSource random) {
    double[] u = Scope.of(() -> random.uniform(0, 1, DType.F64, clusters)).toDoubles();
    double[] centres = new double[clusters * d];
    double[] distance = new double[n];
    Arrays.fill(distance, 1);
    for (int c = 0; c < clusters; c++) {
      int chosen = draw(distance, u[c]);
      System.arraycopy(rows, chosen * d, centres, c * d, d);
      for (int i = 0; i < n; i++) {
        double square = square(rows, i * d, centres, c * d, d);
        distance[i] = c == 0 ? square : Math.min(distance[i], square);
      }
    }
    return centres;
  }

  private static int draw(double[] weights, double u) {
    double left = u * Arrays.stream(weights).sum();
    int last = 0;
    for (int i = 0; i < weights.length; i++) {
      if (weights[i] > 0) {
        last = i;
        left -= weights[i];
        if (left < 0) {
          break;
        }
      }
    }
    return last;
  }

  private static double square(double[] a, int at, double[] b, int bt, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) {
      double gap = a[at + i] - b[bt + i];
      sum += gap * gap;
    }
    return sum;
  }

  private static double[] means(double[] rows, int d, Nearest nearest, int clusters) {
    double[] sums = new double[clusters * d];
    int[] sizes = new int[clusters];
    for (int i = 0; i < nearest.cluster.length; i++) {
      int c = (int) nearest.cluster[i];
      sizes[c]++;
      for (int j = 0; j < d; j++) {
        sums[c * d + j] += rows[i * d + j];
      }
    }
    double[] distance = nearest.distance.clone();
    for (int c = 0; c < clusters; c++) {
      if (sizes[c] > 0) {
        for (int j = 0; j < d; j++) {
          sums[c * d + j] /= sizes[c];
        }
        continue;
      }
      int farthest = 0;
      for (int i = 1; i < distance.length; i++) {
        farthest = distance[i] > distance[farthest] ? i : farthest;
      }
      distance[farthest] = 0;
      System.arraycopy(rows, farthest * d, sums, c * d, d);
    }
    return sums;
  }

  private record Nearest(long[] cluster, double[] distance) {}

  /** By x c - c c / 2, which is largest where the distance is least: one matrix product. */
  private Nearest nearest(double[] rows, int n) {
    long[] cluster = new long[n];
    double[] distance = new double[n];
    for (int from = 0; from < n; from += CHUNK) {
      int size = Math.min(CHUNK, n - from);
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        double[] part = Arrays.copyOfRange(rows, from * width, (from + size) * width);
        Tensor c = Tensor.of(centroids, count, width);
        Tensor half = c.square().sum(1, false).mul(0.5);
        Tensor score = Tensor.of(part, size, width).mm(c.t()).sub(half);
        System.arraycopy(Selection.top(score, 1).toLongs(), 0, cluster, from, size);
      }
    }
    for (int i = 0; i < n; i++) {
      distance[i] = square(rows, i * width, centroids, (int) cluster[i] * width, width);
    }
    return new Nearest(cluster, distance);
  }

  /**
   * The cluster of each point: the nearest centre by Euclidean distance, the first among equals.
   *
   * @param points [N,d] of the centres' width, finite
   * @return [N]
   */
  public long[] predict(Tensor points) {
    if (points.dim() == 2 && points.size(0) == 0) {
      return new long[0];
    }
    double[] rows = points(points);
    if (points.size(1) != width) {
      throw new MoeException(
          "the points have width " + points.size(1) + ", the clusters' centres " + width);
    }
    return nearest(rows, Math.toIntExact(points.size(0))).cluster;
  }

  /** K. */
  public int count() {
    return count;
  }

  /** The centres [K,d] F64. */
  public Tensor centroids() {
    return Tensor.of(centroids, count, width).to(Device.CPU);
  }
}
