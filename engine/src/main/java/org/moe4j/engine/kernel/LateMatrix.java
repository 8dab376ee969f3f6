package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * A matrix whose panels are packed when they are used: the first time into memory of the thread,
 * which forgets them, the second time for good. So a model answers before all of its weights have
 * memory, and those that are never used get none. A panel must not be used by two threads at once.
 */
final class LateMatrix implements Matrix {
  private static final ThreadLocal<MemorySegment> ONCE =
      ThreadLocal.withInitial(() -> MemorySegment.NULL);

  private enum Use {
    NONE,
    ONE,
    MORE
  }

  private final MachineMatrix packed;
  private final MachinePacking packing;
  private final Use[] uses;

  /**
   * A matrix of nothing yet.
   *
   * @param packed memory for all of it
   */
  LateMatrix(MachineMatrix packed, MachinePacking packing) {
    this.packed = packed;
    this.packing = packing;
    this.uses = new Use[packed.panels()];
    Arrays.fill(uses, Use.NONE);
  }

  @Override
  public int rows() {
    return packed.rows();
  }

  @Override
  public int columns() {
    return packed.columns();
  }

  @Override
  public boolean eightBit() {
    return true;
  }

  @Override
  public long bytes() {
    return packed.bytes();
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    if (uses[panel] == Use.NONE) {
      MemorySegment once = once(packed.panelBytes());
      packing.panel(panel, once);
      packed.multiply(once.address(), x, rows, from, count, out);
      uses[panel] = Use.ONE;
      return;
    }
    if (!kept(panel)) {
      keep(panel);
    }
    packed.multiply(panel, x, rows, from, count, out);
  }

  @Override
  public int multiply(
      int panel, int most, Activations x, int[] rows, int from, int count, float[] out) {
    int kept = 0;
    while (kept < most && kept(panel + kept)) {
      kept++;
    }
    if (kept == 0) {
      multiply(panel, x, rows, from, count, out);
      return 1;
    }
    return packed.multiply(panel, kept, x, rows, from, count, out);
  }

  /** Whether a panel is packed for good. */
  boolean kept(int panel) {
    return uses[panel] == Use.MORE;
  }

  /** Packs a panel for good. */
  void keep(int panel) {
    long bytes = packed.panelBytes();
    packing.panel(panel, packed.weights().asSlice(panel * bytes, bytes));
    uses[panel] = Use.MORE;
  }

  private static MemorySegment once(long bytes) {
    if (ONCE.get().byteSize() < bytes) {
      ONCE.set(Arena.ofAuto().allocate(bytes, 64));
    }
    return ONCE.get().asSlice(0, bytes);
  }
}
