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
      case Q8_0 -> q8(row, x);
      case Q4_K -> q4k(row, x);
      case Q6_K -> q6k(row, x);
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

  private static float q8(MemorySegment w, MemorySegment x) {
    float sum = 0;
    for (int b = 0; b < w.byteSize() / 34; b++) {
      int dot = 0;
      for (int c = 0; c < 32; c++) {
        dot += w.get(ValueLayout.JAVA_BYTE, b * 34L + 2 + c) * code(x, b, c);
      }
      sum = Math.fma((float) dot, half(w, b * 34L) * scale(x, b), sum);
    }
    return sum;
  }

  private static float q4k(MemorySegment w, MemorySegment x) {
    float sum = 0;
    for (int j = 0; j < w.byteSize() / 144 * 8; j++) {
      long block = j / 8 * 144L;
      int part = j % 8;
      int dot = 0;
      for (int c = 0; c < 32; c++) {
        dot += nibble(w, block + 16 + part / 2 * 32L + c, part % 2) * code(x, j, c);
      }
      float scale = half(w, block) * six(w, block + 4, part, 0);
      float minimum = half(w, block + 2) * six(w, block + 4, part, 1);
      float scaled = x.get(ValueLayout.JAVA_FLOAT, j * 48L + ByteRecord.SCALED_SUM);
      sum = Math.fma((float) dot, scale * scale(x, j), sum);
      sum = Math.fma(-minimum, scaled, sum);
    }
    return sum;
  }

  /** Scale or minimum of a part of Q4_K: the last four have their upper bits with the first. */
  private static int six(MemorySegment w, long at, int part, int which) {
    if (part < 4) {
      return w.get(ValueLayout.JAVA_BYTE, at + 4L * which + part) & 63;
    }
    int upper = (w.get(ValueLayout.JAVA_BYTE, at + 4L * which + part - 4) >> 6) & 3;
    return upper << 4 | nibble(w, at + 4 + part, which);
  }

  private static float q6k(MemorySegment w, MemorySegment x) {
    float sum = 0;
    for (int j = 0; j < w.byteSize() / 210 * 8; j++) {
      long block = j / 8 * 210L;
      int total = 0;
      for (int c = 0; c < 32; c++) {
        int column = j % 8 * 32 + c;
        int quarter = column / 32 % 4;
        long low = block + column / 128 * 64L + quarter % 2 * 32L + c;
        int two = w.get(ValueLayout.JAVA_BYTE, block + 128 + column / 128 * 32L + c);
        int code = nibble(w, low, quarter / 2) | (two >> (2 * quarter) & 3) << 4;
        int scale = w.get(ValueLayout.JAVA_BYTE, block + 192 + column / 16);
        total += scale * (code - 32) * code(x, j, c);
      }
      sum = Math.fma((float) total, half(w, block + 208) * scale(x, j), sum);
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
