package org.moe4j.engine.model;

import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Workers;

/** Products of matrices with many rows, shared out among threads, and each thread's own memory. */
final class Products {
  private static final long CHUNK_BYTES = 1 << 18;

  /** Panels of one row whose products a thread has room for. */
  private static final int TOGETHER = 16;

  private final Workers workers;
  private final float[][] first;
  private final float[][] second;
  private int[] rows = {};

  Products(Workers workers) {
    this.workers = workers;
    this.first = new float[workers.count()][0];
    this.second = new float[workers.count()][0];
  }

  /**
   * Makes room.
   *
   * @param count rows of a step
   * @param places rows that its tokens take among all experts, or heads
   */
  void reserve(int count, int places) {
    if (rows.length < places) {
      rows = IntStream.range(0, places).toArray();
    }
    int room = Math.max(TOGETHER, count) * Matrix.PANEL;
    for (int w = 0; w < workers.count() && first[w].length < room; w++) {
      first[w] = new float[room];
      second[w] = new float[room];
    }
  }

  Workers workers() {
    return workers;
  }

  /** 0, 1, 2 and so on. */
  int[] rows() {
    return rows;
  }

  /** Memory of a thread for products of one panel at least. */
  float[] scratch(int worker) {
    return first[worker];
  }

  /** More of it. */
  float[] scratch2(int worker) {
    return second[worker];
  }

  /** Small jobs: a few are not worth waking threads for. */
  void each(int n, Workers.Job job) {
    if (n < 4) {
      for (int i = 0; i < n; i++) {
        job.run(i, 0);
      }
    } else {
      workers.run(n, job);
    }
  }

  /**
   * How many panels of a matrix a thread takes at a time. Few rows are done as fast as memory gives
   * the weights: then they are a quarter of a megabyte, but every thread has several turns.
   */
  int chunk(Matrix m, int rows, int panels) {
    if (rows > 2) {
      return 1;
    }
    long wanted = CHUNK_BYTES * m.panels() / Math.max(1, m.bytes());
    return Math.clamp(wanted, 1, Math.max(1, panels / (4 * workers.count())));
  }

  /** Products of several matrices with the first {@code n} rows of {@code from}. */
  void multiply(Activations from, int n, List<Affine> products, List<float[]> to) {
    int panels = 0;
    for (Affine product : products) {
      panels += product.matrix().panels();
    }
    workers.run(
        panels,
        chunk(products.getFirst().matrix(), n, panels),
        (begin, end, worker) -> {
          int which = 0;
          int panel = begin;
          for (int job = begin; job < end; ) {
            while (panel >= products.get(which).matrix().panels()) {
              panel -= products.get(which++).matrix().panels();
            }
            Affine product = products.get(which);
            int most = Math.min(end - job, product.matrix().panels() - panel);
            int done = multiply(product, panel, most, from, 0, n, to.get(which), 0, worker);
            panel += done;
            job += done;
          }
        });
  }

  /**
   * Products of a matrix's panel, and perhaps some following ones, with rows {@code row} and
   * following of {@code x}.
   *
   * @param place the row of {@code to} that receives the first product
   * @return how many panels, {@code most} at most
   */
  int multiply(
      Affine product,
      int panel,
      int most,
      Activations x,
      int row,
      int count,
      float[] to,
      int place,
      int worker) {
    float[] sums = first[worker];
    int done = product.matrix().multiply(panel, most, x, rows, row, count, sums);
    for (int i = 0; i < done; i++) {
      int at = i * count * Matrix.PANEL;
      shift(sums, at, count, product.bias(), panel + i);
      scatter(sums, at, count, product.matrix(), panel + i, to, place);
    }
    return done;
  }

  /**
   * Products of matrices of one panel each with the first {@code n} rows of {@code from}; a row of
   * {@code to} has the numbers of all matrices one after the other.
   */
  void beside(Activations from, int n, List<Affine> products, float[] to) {
    int stride = 0;
    for (Affine product : products) {
      stride += product.matrix().rows();
    }
    int all = stride;
    int before = products.getFirst().matrix().rows();
    workers.run(
        products.size(),
        (i, worker) -> {
          Matrix m = products.get(i).matrix();
          m.multiply(0, from, rows, 0, n, first[worker]);
          shift(first[worker], 0, n, products.get(i).bias(), 0);
          for (int t = 0; t < n; t++) {
            int at = t * all + i * before;
            System.arraycopy(first[worker], t * Matrix.PANEL, to, at, m.rows());
          }
        });
  }

  /** Adds a bias, if there is one, to a panel's products with {@code n} rows. */
  static void shift(float[] products, int first, int n, float[] bias, int index) {
    int width = Math.min(Matrix.PANEL, bias.length - index * Matrix.PANEL);
    for (int i = 0; i < n; i++) {
      for (int d = 0; d < width; d++) {
        products[first + i * Matrix.PANEL + d] += bias[index * Matrix.PANEL + d];
      }
    }
  }

  /** Puts a panel's products into rows {@code row} and following of a whole product. */
  private static void scatter(
      float[] from, int first, int n, Matrix m, int panel, float[] to, int row) {
    int at = panel * Matrix.PANEL;
    int width = Math.min(Matrix.PANEL, m.rows() - at);
    for (int i = 0; i < n; i++) {
      System.arraycopy(from, first + i * Matrix.PANEL, to, (row + i) * m.rows() + at, width);
    }
  }
}
