package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.machine.WeightFormat;

/** Lays stored rows out as machine code takes them: see {@link WeightFormat}. */
final class MachinePacking {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

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
    for (int r = 0; r < rows; r++) {
      MemorySegment row = stored.asSlice(r * rowBytes, rowBytes);
      long half = r / 32 * MachineMatrix.halfBytes(format, columns);
      for (int b = 0; b < blocks; b++) {
        long target = half + (long) b * format.blockBytes();
        switch (format) {
          case Q4_0 -> q4(row, b, to, target, r % 32);
        }
      }
    }
  }

  private static void q4(MemorySegment row, int b, MemorySegment to, long block, int r) {
    long source = b * 18L;
    to.set(SHORT, block + 2L * r, row.get(SHORT, source));
    long first = block + 64 + r / 16 * 256L + r % 16 * 4L;
    for (long v = 0; v < 4; v++) {
      to.set(INT, first + v * 64, row.get(INT, source + 2 + 4 * v));
    }
  }
}
