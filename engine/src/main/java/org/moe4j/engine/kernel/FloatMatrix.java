package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/** Weights as floats: of a panel of 64 rows, column after column. */
record FloatMatrix(int rows, int columns, MemorySegment weights) implements Matrix {
  @Override
  public boolean eightBit() {
    return false;
  }

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    KernelChoice.FLOATS.f32(
        weights, (long) panel * PANEL * columns * 4, x, rows, from, count, out);
  }
}
