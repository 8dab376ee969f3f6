package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.machine.ByteRecord;

/** What machine code computes, number by number from the stored blocks. */
final class MachineRule {
  private MachineRule() {}

  /** Row {@code r} of the weights times a row of records. */
  static float product(GgufTensor stored, int r, MemorySegment x) {
    MemorySegment row = stored.data().asSlice(r * stored.rowBytes(), stored.rowBytes());
    return switch (stored.type()) {
      case Q4_0 -> q4(row, x);
      default -> throw new IllegalArgumentException(stored.type() + " has no rule");
    };
  }

  private static float q4(MemorySegment w, MemorySegment x) {
    float sum = 0;
    for (int b = 0; b < w.byteSize() / 18; b++) {
      int dot = 0;
      for (int c = 0; c < 32; c++) {
        dot += (nibble(w, b * 18L + 2 + c % 16, c / 16) - 8) * code(x, b, c);
      }
      sum = Math.fma((float) dot, half(w, b * 18L) * scale(x, b), sum);
    }
    return sum;
  }

  private static int nibble(MemorySegment w, long at, int high) {
    return (w.get(ValueLayout.JAVA_BYTE, at) >> (4 * high)) & 15;
  }

  private static float half(MemorySegment w, long at) {
    return Float.float16ToFloat(w.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
  }

  private static int code(MemorySegment x, int block, int c) {
    return x.get(ValueLayout.JAVA_BYTE, (long) block * ByteRecord.BYTES + c);
  }

  private static float scale(MemorySegment x, int block) {
    return x.get(ValueLayout.JAVA_FLOAT, (long) block * ByteRecord.BYTES + ByteRecord.SCALE);
  }
}
