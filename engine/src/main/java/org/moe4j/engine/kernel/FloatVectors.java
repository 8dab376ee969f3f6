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
  private static final int COLUMNS = 2048;

  /** Rows of x at a time: they stay in the second cache. */
  private static final int PASS = 64;

  /** Per thread: four unpacked rows and partial sums. */
  private static final class Scratch {
    /** Between rows, so that they do not share the sets of a cache. */
    static final long STRIDE = COLUMNS * 4L + 64;

    private final MemorySegment memory = Arena.ofAuto().allocate(4 * STRIDE, 64);
    final long weights = memory.address();
    final float[] sums = new float[PASS * 4 * BlockMatrix.PARTIALS];
    final float[] totals = new float[16];
  }

  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  @Override
  public void multiply(
      BlockMatrix w, int first, Activations x, int[] rows, int from, int count, float[] out) {
    Scratch s = SCRATCH.get();
    int height = Math.min(Matrix.PANEL, w.rows() - first);
    if (count < 4) {
      for (int r = 0; r < height; r += 16) {
        few(w, first + r, x, rows, from, count, out, r, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      int n = Math.min(PASS, count - done);
      for (int r = 0; r < height; r += 4) {
        many(w, first + r, x, rows, from + done, n, out, done * Matrix.PANEL + r, s);
      }
    }
  }

  /** Sixteen rows of weights times few rows of x; sums of a row of x lie side by side. */
  private static void few(
      BlockMatrix w,
      int first,
      Activations x,
      int[] rows,
      int from,
      int count,
      float[] out,
      int at,
      Scratch s) {
    Arrays.fill(s.sums, 0, count * 256, 0f);
    for (int r = 0; r < 16; r += 4) {
      for (int c = 0; c < w.columns(); c += COLUMNS) {
        int n = unpack(w, first + r, c, s);
        for (int i = 0; i < count; i++) {
          int y = x.at(rows[from + i]) + c;
          FloatTiles.one(s.weights, Scratch.STRIDE, x.values(), y, n, s.sums, (16 * i + r) * 16);
        }
      }
    }
    for (int i = 0; i < count; i++) {
      Tree.totals(s.sums, i * 256, out, i * Matrix.PANEL + at);
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
    Unpacker unpacker = Unpacker.of(w.type());
    long offset = w.weights().address() + w.type().bytes(c);
    for (int r = 0; r < 4; r++) {
      long row = offset + Math.min(first + r, w.rows() - 1) * w.rowBytes();
      long to = s.weights + r * Scratch.STRIDE;
      unpacker.unpack(row, n, to);
      for (int i = n; i < whole; i++) {
        Vectors.ALL.set(ValueLayout.JAVA_FLOAT, to + 4L * i, 0f);
      }
    }
    return whole;
  }
}
