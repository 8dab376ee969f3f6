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

  /** Sums of a call at most. */
  private static final int SUMS = 2 * MOST * PANEL;

  private static final ThreadLocal<MemorySegment> SCRATCH =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(MOST * 8L + SUMS * 4L, 64));

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

  @Override
  public int multiply(
      int panel, int most, Activations x, int[] rows, int from, int count, float[] out) {
    if (count == 0 || count > MOST) {
      multiply(panel, x, rows, from, count, out);
      return 1;
    }
    int some = Math.min(most, Math.min(out.length, SUMS) / (count * PANEL));
    tile(weights.address() + panel * panelBytes(), some, x, rows, from, count, out, 0);
    return some;
  }

  /** The same with the panel that lies {@code at} an address. */
  void multiply(long at, Activations x, int[] rows, int from, int count, float[] out) {
    int tiles = Math.ceilDiv(count, MOST);
    int done = 0;
    for (int i = 0; i < tiles; i++) {
      int tokens = (count - done) / (tiles - i);
      tile(at, 1, x, rows, from + done, tokens, out, done * PANEL);
      done += tokens;
    }
  }

  private void tile(
      long at, int panels, Activations x, int[] rows, int from, int tokens, float[] out, int to) {
    MemorySegment scratch = SCRATCH.get();
    ByteRows bytes = x.bytes();
    for (int t = 0; t < tokens; t++) {
      scratch.setAtIndex(LONG, t, bytes.address(rows[from + t]));
    }
    long sums = scratch.address() + MOST * 8L;
    long all = panels * panelBytes();
    kernels.multiply(format, tokens, at, all, bytes.rowBytes(), scratch.address(), sums);
    int numbers = panels * tokens * PANEL;
    MemorySegment.copy(scratch, ValueLayout.JAVA_FLOAT, MOST * 8L, out, to, numbers);
  }
}
