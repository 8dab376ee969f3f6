package org.moe4j;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * Product keys (Lample and others, "Large Memory Layers with Product Keys", section 3.1; used by
 * S29's PKM and S52): the key of expert {@code i * s + j} is the pair of sub-key i of a first set
 * and sub-key j of a second, so that N = s^2 keys are 2 s vectors. A query's first half is compared
 * with the first set, its second half with the second; an expert's score is the sum. The k best of
 * all N sums lie among the k best of each set: finding them costs O(s d + k^2), not O(N d).
 */
final class ProductKeys {
  /** Scores that a block computes: what stays in a core's cache. */
  private static final int BLOCK_SCORES = 1 << 16;

  /** Queries of a block at least: fewer would make its product slow. */
  private static final int BLOCK_QUERIES = 128;

  private final Parameter keys;
  private final int heads;
  private final int side;
  private final int half;

  /**
   * Makes {@code keys} [heads or 1, 2, s, half], uniform in +-1/sqrt(half).
   *
   * @param heads queries per token
   * @param experts N = s^2
   * @param half half the width of a query
   * @param shared whether all heads search the same keys
   */
  ProductKeys(int heads, int experts, int half, boolean shared, ParameterStore store, int layer) {
    this.heads = heads;
    this.side = side(experts);
    this.half = half;
    this.keys =
        store.create(
            "gate.keys",
            new Role.Gate(layer),
            Init.uniform(1 / Math.sqrt(half)),
            shared ? 1 : heads,
            2,
            side,
            half);
  }

  /**
   * s, the square root of the number of experts.
   *
   * @throws MoeException if it is not whole
   */
  static int side(int experts) {
    int side = (int) Math.round(Math.sqrt(experts));
    if (side * side != experts) {
      throw new MoeException(
          "product keys need a square number of experts, not "
              + experts
              + "; set experts to "
              + side * side);
    }
    return side;
  }

  /**
   * The best experts of each query.
   *
   * @param ids [T,h,k] I64
   * @param scores [T,h,k], descending, with gradient
   */
  record Found(Tensor ids, Tensor scores) {}

  /**
   * Finds the k best experts of each query; among equal scores the lower number is first.
   *
   * @param queries [T, h, 2 half] F32 or F64, finite
   * @param k at most N
   */
  Found find(Tensor queries, int k) {
    Tensor all = keys.tensor().to(queries.dtype());
    if (queries.device() != Device.CPU) {
      return plain(queries, all, k);
    }
    long[] ids = new long[Math.toIntExact(queries.size(0) * heads * k)];
    Tensor scores =
        OwnGradient.apply(
            in -> search(in[0].contiguous(), in[1].contiguous(), ids, k), queries, all);
    return new Found(Tensor.of(ids, queries.size(0), heads, k), scores);
  }

  /** The same by whole tensors: for other devices, and as the reference of tests. */
  Found plain(Tensor queries, Tensor all, int k) {
    long tokens = queries.size(0);
    int m = Math.min(k, side);
    Tensor parts = queries.reshape(tokens, heads, 2, half);
    Tensor own = all.expand(heads, 2, side, half);
    Tensor scores = Tensor.einsum("thcd,hcnd->thcn", parts, own);
    Tensor flat = scores.reshape(tokens * heads * 2, side);
    Tensor places = Selection.top(flat, m);
    Tensor best = flat.gather(1, places).view(tokens * heads, 2, m);
    Tensor sums =
        best.select(1, 0)
            .unsqueeze(2)
            .add(best.select(1, 1).unsqueeze(1))
            .reshape(tokens * heads, (long) m * m);
    Tensor chosen = Selection.top(sums, k);
    Tensor which = places.view(tokens * heads, 2, m);
    Tensor first = which.select(1, 0).gather(1, chosen.floorDiv(m));
    Tensor second = which.select(1, 1).gather(1, chosen.remainder(m));
    return new Found(
        first.mul((double) side).to(DType.I64).add(second).view(tokens, heads, k),
        sums.gather(1, chosen).view(tokens, heads, k));
  }

  private OwnGradient.Result search(Tensor queries, Tensor all, long[] ids, int k) {
    int tokens = (int) queries.size(0);
    double[] scores = new double[ids.length];
    int block = Math.max(BLOCK_QUERIES, BLOCK_SCORES / side);
    int blocks = (tokens + block - 1) / block;
    Workers.run(
        heads * blocks,
        task -> {
          int head = task / blocks;
          int start = task % blocks * block;
          int count = Math.min(block, tokens - start);
          searchBlock(queries, all, head, start, count, ids, scores, k);
        });
    Tensor out = Tensor.of(scores, tokens, heads, k).to(queries.dtype());
    return new OwnGradient.Result(
        out, (dy, needed) -> gradients(dy, queries, all, ids, k, needed), queries, all);
  }

  private void searchBlock(
      Tensor queries,
      Tensor all,
      int head,
      int start,
      int count,
      long[] ids,
      double[] scores,
      int k) {
    Tensor own = queries.select(1, head).narrow(0, start, count);
    Tensor mine = all.select(0, all.size(0) == 1 ? 0 : head);
    Tensor first = own.narrow(1, 0, half).mm(mine.select(0, 0).t());
    Tensor second = own.narrow(1, half, half).mm(mine.select(0, 1).t());
    Best best = new Best(first, second, k, side);
    for (int t = 0; t < count; t++) {
      best.find(t);
      int place = ((start + t) * heads + head) * k;
      System.arraycopy(best.ids, 0, ids, place, k);
      System.arraycopy(best.scores, 0, scores, place, k);
    }
  }

  /** Finds one query's best experts; a lower number goes before an equal score. */
  private static final class Best {
    private final int k;
    private final int side;
    private final Column first;
    private final Column second;
    private final double[] scores;
    private final long[] ids;

    Best(Tensor first, Tensor second, int k, int side) {
      this.k = k;
      this.side = side;
      this.first = new Column(first, Math.min(k, side));
      this.second = new Column(second, Math.min(k, side));
      this.scores = new double[k];
      this.ids = new long[k];
    }

    /**
     * The k best sums of row t. A sum of the a-th best and the b-th best has at least (a+1)(b+1)-1
     * others before it, so that about k ln k of the k^2 are looked at.
     */
    void find(int t) {
      first.scan((long) t * side, side);
      second.scan((long) t * side, side);
      int filled = 0;
      for (int a = 0; a < first.best.length; a++) {
        for (int b = 0; b < second.best.length && (long) (a + 1) * (b + 1) <= k; b++) {
          double sum = first.best[a] + second.best[b];
          long id = (long) first.places[a] * side + second.places[b];
          if (filled < k) {
            insert(sum, id, filled++);
          } else if (before(sum, id, k - 1)) {
            insert(sum, id, k - 1);
          } else {
            break; // what follows in this row is no better
          }
        }
      }
    }

    private void insert(double sum, long id, int last) {
      int place = last;
      while (place > 0 && before(sum, id, place - 1)) {
        scores[place] = scores[place - 1];
        ids[place] = ids[place - 1];
        place--;
      }
      scores[place] = sum;
      ids[place] = id;
    }

    private boolean before(double sum, long id, int place) {
      return sum > scores[place] || (sum == scores[place] && id < ids[place]);
    }
  }

  /** The best of one row of scores, in descending order; the lower place first among equals. */
  private static final class Column {
    private final MemorySegment scores;
    private final boolean wide;
    private final double[] best;
    private final int[] places;

    Column(Tensor scores, int m) {
      this.scores = scores.segment();
      this.wide = scores.dtype() == DType.F64;
      this.best = new double[m];
      this.places = new int[m];
    }

    private double at(long i) {
      return wide
          ? scores.getAtIndex(ValueLayout.JAVA_DOUBLE, i)
          : scores.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }

    void scan(long start, int n) {
      int m = best.length;
      for (int i = 0; i < m; i++) {
        insert(at(start + i), i, i);
      }
      double worst = best[m - 1];
      for (int i = m; i < n; i++) {
        double value = at(start + i);
        if (value > worst) {
          insert(value, i, m - 1);
          worst = best[m - 1];
        }
      }
    }

    private void insert(double value, int index, int last) {
      int place = last;
      while (place > 0 && value > best[place - 1]) {
        best[place] = best[place - 1];
        places[place] = places[place - 1];
        place--;
      }
      best[place] = value;
      places[place] = index;
    }
  }

  /** Both halves of a query meet the sub-keys of the experts found, and no others. */
  private @Nullable Tensor[] gradients(
      Tensor dy, Tensor queries, Tensor all, long[] ids, int k, boolean[] needed) {
    long tokens = queries.size(0);
    long[] rows = new long[ids.length * 2];
    for (int i = 0; i < ids.length; i++) {
      int head = i / k % heads;
      long base = all.size(0) == 1 ? 0 : 2L * head * side;
      int place = i / k * 2 * k + i % k;
      rows[place] = base + ids[i] / side;
      rows[place + k] = base + side + ids[i] % side;
    }
    Tensor table = all.reshape(all.size(0) * 2 * side, half);
    Lookup lookup = new Lookup(Tensor.of(rows, tokens * heads * 2, k), (int) table.size(0), false);
    Tensor weights =
        dy.unsqueeze(2).expand(tokens, heads, 2, k).reshape(tokens * heads * 2, k).contiguous();
    Tensor dQueries = needed[0] ? lookup.sums(table, weights).view(queries.shape()) : null;
    Tensor dKeys = null;
    if (needed[1]) {
      Lookup.RowSums sums = lookup.rowSums(queries.view(tokens * heads * 2, half), weights);
      dKeys =
          Tensor.zeros(table.dtype(), Device.CPU, table.shape())
              .indexCopyInPlace(0, sums.rows(), sums.sums())
              .view(all.shape());
    }
    return new @Nullable Tensor[] {dQueries, dKeys};
  }
}
