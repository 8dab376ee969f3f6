package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.machine.WeightFormat;

/** Lays stored rows out as machine code takes them: see {@link WeightFormat}. */
final class MachinePacking {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  private static final int HALF = 32;
  private static final int LOW = 0x0f0f0f0f;

  private MachinePacking() {}

  /**
   * Packs rows from the beginning of a panel on.
   *
   * @param stored rows without gaps
   * @param to whole panels; rows that are missing in the last keep what is there
   */
  static void pack(
      WeightFormat format, MemorySegment stored, int rows, int columns, MemorySegment to) {
    int blocks = columns / format.blockColumns();
    long rowBytes = stored.byteSize() / rows;
    long blockBytes = rowBytes / blocks;
    for (int first = 0; first < rows; first += HALF) {
      long half =
          first / Matrix.PANEL * MachineMatrix.panelBytes(format, columns)
              + first % Matrix.PANEL / HALF * format.blockBytes();
      int count = Math.min(HALF, rows - first);
      for (int b = 0; b < blocks; b++) {
        long source = first * rowBytes + b * blockBytes;
        long target = half + 2L * b * format.blockBytes();
        switch (format) {
          case Q4_0 -> {
            for (int r = 0; r < count; r++) {
              q4(stored, source + r * rowBytes, to, target, r);
            }
          }
          case Q8_0 -> {
            for (int r = 0; r < count; r++) {
              q8(stored, source + r * rowBytes, to, target, r);
            }
          }
          case Q4_K -> {
            for (int r = 0; r < count; r++) {
              q4k(stored, source + r * rowBytes, to, target, r);
            }
          }
          case Q6_K -> {
            for (int r = 0; r < count; r++) {
              q6k(stored, source + r * rowBytes, to, target, r);
            }
          }
        }
      }
    }
  }

  private static void q4(MemorySegment row, long source, MemorySegment to, long block, int r) {
    to.set(SHORT, block + 2L * r, row.get(SHORT, source));
    long first = block + 64 + r / 16 * 256L + r % 16 * 4L;
    to.set(INT, first, row.get(INT, source + 2));
    to.set(INT, first + 64, row.get(INT, source + 6));
    to.set(INT, first + 128, row.get(INT, source + 10));
    to.set(INT, first + 192, row.get(INT, source + 14));
  }

  private static void q8(MemorySegment row, long source, MemorySegment to, long block, int r) {
    to.set(SHORT, block + 2L * r, row.get(SHORT, source));
    long first = block + 64 + r / 16 * 512L + r % 16 * 4L;
    eight(row, source + 2, to, first);
    eight(row, source + 6, to, first + 64);
    eight(row, source + 10, to, first + 128);
    eight(row, source + 14, to, first + 192);
    eight(row, source + 18, to, first + 256);
    eight(row, source + 22, to, first + 320);
    eight(row, source + 26, to, first + 384);
    eight(row, source + 30, to, first + 448);
  }

  /** Four weights, each plus 128. */
  private static void eight(MemorySegment row, long from, MemorySegment to, long at) {
    to.set(INT, at, row.get(INT, from) ^ 0x80808080);
  }

  private static void q4k(MemorySegment row, long source, MemorySegment to, long block, int r) {
    to.set(SHORT, block + 2L * r, row.get(SHORT, source));
    to.set(SHORT, block + 64 + 2L * r, row.get(SHORT, source + 2));
    long lane = r % 16 * 4L;
    for (long v = 0; v < 3; v++) {
      to.set(INT, block + 128 + r / 16 * 192L + v * 64 + lane, row.get(INT, source + 4 + 4 * v));
    }
    long codes = block + 512 + r / 16 * 2048L + lane;
    for (long pair = 0; pair < 4; pair++) {
      for (long v = 0; v < 4; v++) {
        // 32 bytes hold a part in their low halves and the next in their high halves
        int near = row.get(INT, source + 16 + pair * 32 + 4 * v);
        int far = row.get(INT, source + 32 + pair * 32 + 4 * v);
        long at = codes + pair * 512 + v * 64;
        to.set(INT, at, (near & LOW) | ((far & LOW) << 4));
        to.set(INT, at + 256, ((near >>> 4) & LOW) | (far & ~LOW));
      }
    }
  }

  private static void q6k(MemorySegment row, long source, MemorySegment to, long block, int r) {
    to.set(SHORT, block + 2L * r, row.get(SHORT, source + 208));
    long scales = block + 64 + r / 16 * 256L + r % 16;
    for (long part = 0; part < 16; part++) {
      to.set(BYTE, scales + part * 16, row.get(BYTE, source + 192 + part));
    }
    long low = block + 576 + r / 16 * 2048L + r % 16 * 4L;
    long high = block + 4672 + r / 16 * 1024L + r % 16 * 4L;
    for (int j = 0; j < 8; j++) {
      int quarter = j % 4; // of 128 columns
      long lows = source + j / 4 * 64L + quarter % 2 * 32L;
      long highs = source + 128 + j / 4 * 32L;
      for (long v = 0; v < 4; v++) {
        int near = row.get(INT, lows + 4 * v) >>> (quarter / 2 * 4) & LOW;
        int far = row.get(INT, lows + 16 + 4 * v) >>> (quarter / 2 * 4) & LOW;
        to.set(INT, low + j * 256L + v * 64, near | far << 4);
      }
      for (long half = 0; half < 2; half++) {
        int bits = 0;
        for (int v = 0; v < 4; v++) {
          int twos = row.get(INT, highs + half * 16 + 4L * v) >>> (2 * quarter) & 0x03030303;
          bits |= twos << (2 * v);
        }
        to.set(INT, high + j * 128L + half * 64, bits);
      }
    }
  }
}
