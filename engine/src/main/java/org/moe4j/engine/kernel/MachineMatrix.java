package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/**
 * Weights that machine code multiplies, in panels of 64 interleaved rows, with activations in 8
 * bits.
 *
 * @param weights native memory, whole panels
 */
record MachineMatrix(
    MachineKernels kernels, WeightFormat format, int rows, int columns, MemorySegment weights)
    implements Matrix {
  private static final int MOST = MachineKernels.MOST_TOKENS;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ThreadLocal<MemorySegment> SCRATCH =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(MOST * 8L + MOST * PANEL * 4L, 64));

  /** Bytes of a panel of {@code columns} columns. */
  static long panelBytes(WeightFormat format, int columns) {
    return 2L * columns / format.blockColumns() * format.blockBytes();
  }

  @Override
  public boolean eightBit() {
    return true;
  }

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  long panelBytes() {
    return panelBytes(format, columns);
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    multiply(weights.address() + panel * panelBytes(), x, rows, from, count, out);
  }

  /** The same with the panel that lies {@code at} an address. */
  void multiply(long at, Activations x, int[] rows, int from, int count, float[] out) {
    MemorySegment scratch = SCRATCH.get();
    ByteRows bytes = x.bytes();
    int tiles = Math.ceilDiv(count, MOST);
    int done = 0;
    for (int i = 0; i < tiles; i++) {
      int tokens = (count - done) / (tiles - i);
      for (int t = 0; t < tokens; t++) {
        scratch.setAtIndex(LONG, t, bytes.address(rows[from + done + t]));
      }
      long sums = scratch.address() + MOST * 8L;
      kernels.multiply(format, tokens, at, bytes.rowBytes(), scratch.address(), sums);
      MemorySegment.copy(
          scratch, ValueLayout.JAVA_FLOAT, MOST * 8L, out, done * PANEL, tokens * PANEL);
      done += tokens;
    }
  }
}
