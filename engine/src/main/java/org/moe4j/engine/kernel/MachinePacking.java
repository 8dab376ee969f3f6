package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/**
 * Lays stored rows out as machine code takes them: see {@link WeightFormat}.
 *
 * @param stored rows without gaps
 * @param copy how they are read: machine code itself would not survive the end of a mapped file
 */
record MachinePacking(
    MachineKernels kernels,
    WeightFormat format,
    int rows,
    int columns,
    MemorySegment stored,
    Packing.Copy copy) {
  private static final int HALF = Matrix.PANEL / 2;
  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  /** Memory of a thread: rows as they are stored, and where they begin. */
  private static final class Scratch {
    final MemorySegment places = Arena.ofAuto().allocate(HALF * 4L, 64);
    MemorySegment rows = MemorySegment.NULL;

    MemorySegment rows(long bytes) {
      if (rows.byteSize() < bytes) {
        rows = Arena.ofAuto().allocate(bytes, 64);
      }
      return rows.asSlice(0, bytes);
    }
  }

  /** All panels into memory for whole ones. */
  void all(MemorySegment to) {
    long bytes = MachineMatrix.panelBytes(format, columns);
    for (int panel = 0; panel < Math.ceilDiv(rows, Matrix.PANEL); panel++) {
      panel(panel, to.asSlice(panel * bytes, bytes));
    }
  }

  /** One panel; rows that are missing in one of its halves become like the last that is there. */
  void panel(int panel, MemorySegment to) {
    long rowBytes = stored.byteSize() / rows;
    int first = panel * Matrix.PANEL;
    int count = Math.min(Matrix.PANEL, rows - first);
    Scratch scratch = SCRATCH.get();
    MemorySegment from = scratch.rows(count * rowBytes);
    copy.bytes(stored.asSlice(first * rowBytes, count * rowBytes), from);
    for (int r = 0; r < count; r += HALF) {
      for (int i = 0; i < HALF; i++) {
        long place = Math.min(i, count - r - 1) * rowBytes;
        scratch.places.setAtIndex(ValueLayout.JAVA_INT, i, Math.toIntExact(place));
      }
      long half = r / HALF * (long) format.blockBytes();
      kernels.pack(
          format,
          from.address() + r * rowBytes,
          rowBytes,
          to.asSlice(half).address(),
          scratch.places.address());
    }
  }
}
