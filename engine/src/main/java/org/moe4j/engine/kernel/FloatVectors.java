package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

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
   * A panel times few rows of x. Two rows of weights are taken at a time, 32 apart: memory is read
   * in two long runs.
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
    for (int r = 0; r < Matrix.PANEL / 2; r++) {
      long p = address(w, first + r);
      long q = address(w, first + r + Matrix.PANEL / 2);
      switch (w.type()) {
        case F32, F16, BF16, Q8_0 -> {
          for (int i = 0; i < count; i++) {
            plain(w, p, q, x, rows[from + i], s.sums, (i * Matrix.PANEL + r) * 16);
          }
        }
        default -> coded(w, p, q, x, rows, from, count, r * 16, s);
      }
    }
    for (int i = 0; i < 4 * count; i++) {
      Tree.totals(s.sums, i * 256, out, i * 16);
    }
  }

  /** Of a row, the last one standing for those that are missing. */
  private static long address(BlockMatrix w, int row) {
    return w.weights().address() + Math.min(row, w.rows() - 1) * w.rowBytes();
  }

  private static void plain(
      BlockMatrix w, long p, long q, Activations x, int row, float[] sums, int to) {
    int at = x.at(row);
    for (int lane = 0; lane < 16; lane += Vectors.L) {
      switch (w.type()) {
        case F32 -> RowProducts.f32(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        case F16 -> RowProducts.f16(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        case BF16 -> RowProducts.bf16(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
        default -> RowProducts.q80(p, q, x.values(), at, w.columns(), lane, sums, to + lane);
      }
    }
  }

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
    Unpacker.Reader reader = Unpacker.reader(w.type());
    boolean less = Unpacker.minimums(w.type());
    int shift = Unpacker.shift(w.type());
    for (int c = 0; c < w.columns(); c += CodeRow.COLUMNS) {
      int n = Math.min(CodeRow.COLUMNS, w.columns() - c);
      long offset = w.type().bytes(c);
      reader.read(p + offset, n, s.codes);
      reader.read(q + offset, n, s.others);
      for (int i = 0; i < count; i++) {
        int at = x.at(rows[from + i]) + c;
        int sum = i * Matrix.PANEL * 16 + to;
        for (int lane = 0; lane < 16; lane += Vectors.L) {
          if (less) {
            CodeRow.multiplyLess(
                s.codes, s.others, n, shift, lane, x.values(), at, s.sums, sum);
          } else {
            CodeRow.multiply(s.codes, s.others, n, shift, lane, x.values(), at, s.sums, sum);
          }
        }
      }
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
