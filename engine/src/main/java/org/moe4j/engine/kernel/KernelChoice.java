package org.moe4j.engine.kernel;

import jdk.incubator.vector.VectorShape;
import org.moe4j.engine.EngineException;

/**
 * Which loops run: vectors of the machine's own width, or of {@code -Dmoe4j.vector.bits=512, 256 or
 * 128}, or none with {@code 0} or where the JVM runs without {@code jdk.incubator.vector}.
 */
final class KernelChoice {
  private static final String PROPERTY = "moe4j.vector.bits";

  private static final boolean VECTORS =
      ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent() && bits() >= 128;

  static final Q4Kernels Q4 = VECTORS ? new Q4Vectors() : new Q4Scalars();
  static final FloatKernels FLOATS = VECTORS ? new FloatVectors() : new FloatScalars();
  static final RowKernels ROWS = VECTORS ? new RowVectors() : new RowScalars();
  static final AttentionKernels ATTENTION =
      VECTORS ? new AttentionVectors() : new AttentionScalars();

  private KernelChoice() {}

  /** Bits of a vector; 0 for none. */
  static int bits() {
    int wide = Math.min(512, VectorShape.preferredShape().vectorBitSize());
    String wanted = System.getProperty(PROPERTY, Integer.toString(wide));
    return switch (wanted) {
      case "512" -> 512;
      case "256" -> 256;
      case "128" -> 128;
      case "0" -> 0;
      default ->
          throw new EngineException(
              PROPERTY + " is " + wanted + ", expected 512, 256, 128, or 0 for no vectors");
    };
  }
}
