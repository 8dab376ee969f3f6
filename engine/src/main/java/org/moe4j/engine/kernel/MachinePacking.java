package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/** Lays stored rows out as machine code takes them: see {@link WeightFormat}. */
final class MachinePacking {
  private static final int HALF = Matrix.PANEL / 2;

  private MachinePacking() {}

  /**
   * Packs rows from the beginning of a panel on.
   *
   * @param stored rows without gaps
   * @param to whole panels; rows that are missing in the last half of one become like the last
   */
  static void pack(
      MachineKernels kernels,
      WeightFormat format,
      MemorySegment stored,
      int rows,
      int columns,
      MemorySegment to) {
    long rowBytes = stored.byteSize() / rows;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment places = arena.allocate(HALF * 4L, 64);
      MemorySegment copy = arena.allocate(HALF * rowBytes, 64);
      for (int first = 0; first < rows; first += HALF) {
        int count = Math.min(HALF, rows - first);
        // the JVM survives it if a mapped file ends here, machine code would not
        MemorySegment.copy(stored, first * rowBytes, copy, 0, count * rowBytes);
        for (int r = 0; r < HALF; r++) {
          long place = Math.min(r, count - 1) * rowBytes;
          places.setAtIndex(ValueLayout.JAVA_INT, r, Math.toIntExact(place));
        }
        long panel = first / Matrix.PANEL * MachineMatrix.panelBytes(format, columns);
        long half = panel + (long) (first % Matrix.PANEL / HALF) * format.blockBytes();
        kernels.pack(
            format,
            copy.address(),
            rowBytes,
            to.asSlice(half).address(),
            places.address());
      }
    }
  }
}
