package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.moe4j.engine.gguf.GgmlType;

/**
 * Stored blocks on vectors of 512, 256 or 128 bits: four rows of weights are unpacked, as many
 * columns as fit a cache, and multiplied with all rows of activations. Each loop is a small method
 * of its own, its state in memory between the phases: a vector that crosses a call is boxed.
 */
final class FloatVectors implements FloatKernels {
  /** Columns that are unpacked at a time: whole blocks of any type. */
  private static final int COLUMNS = CodeRow.COLUMNS;

  /** Rows of x at a time: they stay in the second cache. */
  private static final int PASS = 64;

  /** Per thread: four unpacked rows, two rows of codes, and partial sums. */
  private static final class Scratch {
    /** Between rows, so that they do not share the sets of a cache. */
    static final long STRIDE = COLUMNS * 4L + 64;

    private final MemorySegment memory =
        Arena.ofAuto().allocate(4 * STRIDE + 2 * CodeRow.BYTES, 64);
    final long weights = memory.address();
    final long codes = weights + 4 * STRIDE;
    final long others = codes + CodeRow.BYTES;
    final float[] sums = new float[PASS * 4 * BlockMatrix.PARTIALS];
    final float[] totals = new float[16];
  }

  private static final float[] CENTRED = SmallCodes.numbers(GgmlType.Q4_0);
  private static final float[] PLAIN = SmallCodes.numbers(GgmlType.Q4_K);
  private static final float[] IQ4 = SmallCodes.numbers(GgmlType.IQ4_NL);
  private static final float[] E2M1 = SmallCodes.numbers(GgmlType.MXFP4);
  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  @Override
  public void multiply(
      BlockMatrix w, int first, Activations x, int[] rows, int from, int count, float[] out) {
    Scratch s = SCRATCH.get();
    int height = Math.min(Matrix.PANEL, w.rows() - first);
    // rows of plain numbers may end within a vector, which is not read beyond them
    if (count < 4 && w.columns() % 16 == 0) {
      few(w, first, x, rows, from, count, out, s);
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      int n = Math.min(PASS, count - done);
      for (int r = 0; r < height; r += 4) {
        many(w, first + r, x, rows, from + done, n, out, done * Matrix.PANEL + r, s);
      }
    }
  }

  /**
   * A panel times few rows of x. Two rows of weights are taken at a time, half of the panel apart:
   * memory is read in two long runs.
   */
  private static void few(
      BlockMatrix w,
      int first,
      Activations x,
      int[] rows,
      int from,
      int count,
      float[] out,
      Scratch s) {
    Arrays.fill(s.sums, 0, count * Matrix.PANEL * BlockMatrix.PARTIALS, 0f);
    int apart = w.rows() - first > Matrix.PANEL / 2 ? Matrix.PANEL / 2 : Matrix.PANEL / 4;
    int height = Math.min(apart, w.rows() - first);
    for (int r = 0; r < height; r++) {
      long p = address(w, first + r);
      long q = address(w, first + r + apart);
      if (whole(w.type())) {
        for (int i = 0; i < count; i++) {
          plain(w, p, q, x, rows[from + i], s.sums, (i * Matrix.PANEL + r) * 16);
        }
      } else {
        coded(w, p, q, x, rows, from, count, r * 16, s);
      }
    }
    for (int i = 0; i < 4 * count; i++) {
      if (i % 2 * 16 < apart) {
        int row = i % 4 / 2 * apart + i % 2 * 16;
        Tree.totals(s.sums, i * 256, out, i / 4 * Matrix.PANEL + row);
      }
    }
  }

  /** Of a row, the last one standing for those that are missing. */
  private static long address(BlockMatrix w, int row) {
    return w.weights().address() + Math.min(row, w.rows() - 1) * w.rowBytes();
  }

  /** Whether a vector holds a table of the numbers of all 4-bit codes. */
  private static boolean tables() {
    return Vectors.L == 16;
  }

  /** Whether rows are multiplied as they lie, with nothing read before. */
  private static boolean whole(GgmlType type) {
    return switch (type) {
      case F32, F16, BF16, Q8_0 -> true;
      case Q4_0, IQ4_NL, MXFP4 -> tables();
      default -> false;
    };
  }

  private static void plain(
      BlockMatrix w, long p, long q, Activations x, int row, float[] sums, int to) {
    int at = x.at(row);
    for (int lane = 0; lane < 16; lane += Vectors.L) {
      switch (w.type()) {
        case F32 -> RowProducts.f32(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        case F16 -> RowProducts.f16(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        case BF16 -> RowProducts.bf16(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        case Q4_0 -> RowProducts.table(p, q, CENTRED, x.values(), at, w.columns(), sums, to);
        case IQ4_NL -> RowProducts.table(p, q, IQ4, x.values(), at, w.columns(), sums, to);
        case MXFP4 -> RowProducts.mxfp4(p, q, E2M1, x.values(), at, w.columns(), sums, to);
        default -> RowProducts.q80(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
      }
    }
  }

  /** Adds the products of two rows of codes and scales, a stretch of columns at a time. */
  private static void coded(
      BlockMatrix w,
      long p,
      long q,
      Activations x,
      int[] rows,
      int from,
      int count,
      int to,
      Scratch s) {
    for (int c = 0; c < w.columns(); c += COLUMNS) {
      int n = Math.min(COLUMNS, w.columns() - c);
      long offset = w.type().bytes(c);
      prepare(w.type(), p + offset, q + offset, n, s);
      for (int i = 0; i < count; i++) {
        int at = x.at(rows[from + i]) + c;
        int sum = i * Matrix.PANEL * 16 + to;
        for (int lane = 0; lane < 16; lane += Vectors.L) {
          coded(w.type(), p + offset, q + offset, n, lane, x.values(), at, sum, s);
        }
      }
    }
  }

  /** Reads what is not read while it is multiplied. */
  private static void prepare(GgmlType type, long p, long q, int n, Scratch s) {
    if (type == GgmlType.Q4_K && tables()) {
      SuperCodes.q4kScales(p, n, s.codes);
      SuperCodes.q4kScales(q, n, s.others);
    } else {
      Unpacker.Reader reader = Unpacker.reader(type);
      reader.read(p, n, s.codes);
      reader.read(q, n, s.others);
    }
  }

  private static void coded(
      GgmlType type, long p, long q, int n, int lane, float[] x, int at, int to, Scratch s) {
    int shift = Unpacker.shift(type);
    if (type == GgmlType.Q4_K && tables()) {
      RowProducts.q4k(p, s.codes, PLAIN, x, at, n, s.sums, to);
      RowProducts.q4k(q, s.others, PLAIN, x, at, n, s.sums, to + RowProducts.APART);
    } else if (Unpacker.minimums(type)) {
      CodeRow.multiplyLess(s.codes, s.others, n, shift, lane, x, at, s.sums, to);
    } else {
      CodeRow.multiply(s.codes, s.others, n, shift, lane, x, at, s.sums, to);
    }
  }

  /** Four rows of weights times rows of x. */
  private static void many(
      BlockMatrix w,
      int first,
      Activations x,
      int[] rows,
      int from,
      int count,
      float[] out,
      int at,
      Scratch s) {
    Arrays.fill(s.sums, 0, Math.ceilDiv(count, 4) * 256, 0f);
    for (int c = 0; c < w.columns(); c += COLUMNS) {
      int n = unpack(w, first, c, s);
      int i = 0;
      for (; i + 4 <= count; i += 4) {
        FloatTiles.four(
            s.weights,
            Scratch.STRIDE,
            x.values(),
            x.at(rows[from + i]) + c,
            x.at(rows[from + i + 1]) + c,
            x.at(rows[from + i + 2]) + c,
            x.at(rows[from + i + 3]) + c,
            n,
            s.sums,
            i * 64);
      }
      for (; i < count; i++) {
        int y = x.at(rows[from + i]) + c;
        FloatTiles.one(s.weights, Scratch.STRIDE, x.values(), y, n, s.sums, i * 64);
      }
    }
    for (int i = 0; i < count; i += 4) {
      Tree.totals(s.sums, i * 64, s.totals, 0);
      for (int j = 0; j < Math.min(4, count - i); j++) {
        System.arraycopy(s.totals, 4 * j, out, at + (i + j) * Matrix.PANEL, 4);
      }
    }
  }

  /**
   * Columns {@code c} and following of four rows; the last row stands for those that are missing.
   *
   * @return how many columns, the last sixteen filled up with zeros
   */
  private static int unpack(BlockMatrix w, int first, int c, Scratch s) {
    int n = Math.min(COLUMNS, w.columns() - c);
    int whole = Math.ceilDiv(n, 16) * 16;
    long offset = w.type().bytes(c);
    for (int r = 0; r < 4; r++) {
      long row = address(w, first + r) + offset;
      long to = s.weights + r * Scratch.STRIDE;
      Unpacker.unpack(w.type(), row, n, s.codes, to);
      for (int i = n; i < whole; i++) {
        Vectors.ALL.set(ValueLayout.JAVA_FLOAT, to + 4L * i, 0f);
      }
    }
    return whole;
  }
}
