package org.moe4j.tensor;

import java.util.List;
import java.util.Optional;

/** Matrix products into existing memory, split over the {@link Workers} on the CPU. */
public final class Products {
  private static final boolean VECTOR_ROWS =
      ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();

  /** Products below this many multiply-adds are not worth a hand-over to another thread. */
  private static final long SMALL = 1 << 19;

  /** Up to so many rows the time goes into reading the matrix they are multiplied with. */
  private static final int FEW = 16;

  /** Up to so many rows of F32, products with one vector each are faster than one with all. */
  private static final int VECTORS = 4;

  /** Of a matrix that is read several times, so much at a time: it stays in a cache. */
  private static final long CACHED = 4 << 20;

  private Products() {}

  /** Writes {@code a b} into {@code out}: [m,n] from [m,k] and [k,n]. */
  public static void into(Tensor out, Tensor a, Tensor b) {
    split(out, a, b, false);
  }

  /**
   * {@code x w^T} where {@link #into} has a way of its own for the few rows of x [..., n], and no
   * gradient is recorded; else nothing.
   *
   * @param w [o,n]
   */
  static Optional<Tensor> unrecorded(Tensor x, Tensor w) {
    if (NoGrad.recording()
        || x.device() != Device.CPU
        || x.dtype() != w.dtype()
        || w.dim() != 2
        || x.dim() < 1
        || x.size(-1) != w.size(1)
        || x.numel() > FEW * w.size(1)
        || x.numel() == 0
        || !w.isContiguous()) {
      return Optional.empty();
    }
    long[] shape = x.shape();
    shape[shape.length - 1] = w.size(0);
    Tensor rows = x.reshape(-1, w.size(1));
    Tensor out = Tensor.empty(x.dtype(), Device.CPU, rows.size(0), w.size(0));
    into(out, rows.contiguous(), w.t());
    return Optional.of(out.view(shape));
  }

  /** Adds {@code a b} to {@code out}. */
  public static void addInto(Tensor out, Tensor a, Tensor b) {
    split(out, a, b, true);
  }

  /**
   * Writes {@code x w^T} into {@code out} [m,o] for few rows x [m,n], on this thread. It takes
   * little longer than reading w once, which a general product of few rows is far from. Where the
   * JVM was started with the module {@code jdk.incubator.vector}, it is nearer still.
   *
   * @param w [o,n], of the type of x and out; rows of all three lie in one piece each, those of w
   *     and x one behind the other
   */
  public static void fewRows(Tensor out, Tensor x, Tensor w) {
    if (VECTOR_ROWS && x.size(0) <= VectorRows.most(w.dtype())) {
      VectorRows.into(out, x, w);
    } else {
      library(out, x, w);
    }
  }

  /** The same without the JVM's vector instructions. */
  static void library(Tensor out, Tensor x, Tensor w) {
    boolean wide = w.dtype() == DType.F32 || w.dtype() == DType.F64;
    if (!wide) {
      narrow(out, x, w);
    } else if (x.size(0) <= VECTORS) {
      vectors(out, x, w);
    } else {
      // The large matrix on the right is the side the BLAS library does not copy together.
      out.copyInPlace(w.mm(x.t()).t());
    }
  }

  /** Below F32 code is compiled for every new shape and kept: only powers of two occur. */
  private static void narrow(Tensor out, Tensor x, Tensor w) {
    long m = x.size(0);
    long padded = Long.highestOneBit(2 * m - 1);
    if (padded == m && out.isContiguous()) {
      out.mmInto(x, w.t());
      return;
    }
    Tensor all =
        padded == m
            ? x
            : Tensor.cat(List.of(x, Tensor.zeros(x.dtype(), x.device(), padded - m, x.size(1))), 0);
    out.copyInPlace(all.mm(w.t()).narrow(0, 0, m));
  }

  private static void vectors(Tensor out, Tensor x, Tensor w) {
    long m = x.size(0);
    long rowBytes = w.size(1) * (w.dtype() == DType.F64 ? 8 : 4);
    long band = m == 1 ? w.size(0) : Math.max(1, CACHED / rowBytes);
    for (long from = 0; from < w.size(0); from += band) {
      long count = Math.min(band, w.size(0) - from);
      Tensor some = w.narrow(0, from, count);
      for (int i = 0; i < m; i++) {
        out.select(0, i).narrow(0, from, count).mvInto(some, x.select(0, i));
      }
    }
  }

  private static boolean fewRows(Tensor out, Tensor a, Tensor b, boolean add) {
    return !add
        && out.size(0) > 0
        && out.size(0) <= FEW
        && out.device() == Device.CPU
        && out.dtype() == a.dtype()
        && a.isContiguous()
        && b.t().isContiguous();
  }

  private static void split(Tensor out, Tensor a, Tensor b, boolean add) {
    long rows = out.size(0);
    int threads = Ops.threads();
    if (fewRows(out, a, b, add)) {
      Tensor w = b.t();
      if (w.numel() < SMALL || threads == 1) {
        fewRows(out, a, w);
        return;
      }
      long band = (w.size(0) + 2L * threads - 1) / (2L * threads);
      Workers.rows(
          w.size(0),
          band,
          (start, count) -> fewRows(out.narrow(1, start, count), a, w.narrow(0, start, count)));
      return;
    }
    boolean small = rows * out.size(1) * a.size(1) < SMALL || rows < 2L * threads;
    if (small || threads == 1 || out.device() != Device.CPU) {
      block(out, a, b, add);
      return;
    }
    Workers.rows(
        rows,
        (rows + threads - 1L) / threads,
        (start, count) -> block(out.narrow(0, start, count), a.narrow(0, start, count), b, add));
  }

  private static void block(Tensor out, Tensor a, Tensor b, boolean add) {
    if (out.dtype() != a.dtype()) {
      Tensor product = a.mm(b);
      if (add) {
        out.addInPlace(product);
      } else {
        out.copyInPlace(product);
      }
    } else if (add) {
      out.addmmInPlace(a, b, 1);
    } else {
      out.mmInto(a, b);
    }
  }
}
