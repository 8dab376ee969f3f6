package org.moe4j.tensor;

/** Matrix products into existing memory, split over the {@link Workers} on the CPU. */
public final class Products {
  /** Products below this many multiply-adds are not worth a hand-over to another thread. */
  private static final long SMALL = 1 << 19;

  private Products() {}

  /** Writes {@code a b} into {@code out}: [m,n] from [m,k] and [k,n]. */
  public static void into(Tensor out, Tensor a, Tensor b) {
    split(out, a, b, false);
  }

  /** Adds {@code a b} to {@code out}. */
  public static void addInto(Tensor out, Tensor a, Tensor b) {
    split(out, a, b, true);
  }

  private static void split(Tensor out, Tensor a, Tensor b, boolean add) {
    long rows = out.size(0);
    int threads = Ops.threads();
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
