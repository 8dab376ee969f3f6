package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Random;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;

/** Stored matrices of any type, every code in them. */
final class RandomBlocks {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private RandomBlocks() {}

  /** Random bytes but for scales, which are of the size of 1 divided by that of the codes. */
  static GgufTensor tensor(GgmlType type, int columns, int rows, int stacked) {
    byte[] bytes = new byte[Math.toIntExact(type.bytes((long) columns * rows * stacked))];
    Random random = new Random(type.id());
    random.nextBytes(bytes);
    MemorySegment data = MemorySegment.ofArray(bytes);
    for (long block = 0; block < bytes.length; block += type.bytes()) {
      set(type, data, block, random);
    }
    return new GgufTensor("w", type, new long[] {columns, rows, stacked}, data);
  }

  private static void set(GgmlType type, MemorySegment data, long block, Random random) {
    float number = (float) random.nextGaussian();
    short half = Float.floatToFloat16(number / 8);
    switch (type) {
      case F32 -> data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, block, number);
      case F16 -> data.set(SHORT, block, half);
      case BF16 -> data.set(SHORT, block, (short) (Float.floatToRawIntBits(number) >> 16));
      case MXFP4 -> data.set(ValueLayout.JAVA_BYTE, block, (byte) (120 + random.nextInt(8)));
      default -> {
        for (int at : scales(type)) {
          data.set(SHORT, block + at, half);
        }
      }
    }
  }

  /** Where in a block half-precision scales and minimums lie. */
  static int[] scales(GgmlType type) {
    return switch (type) {
      case F32, BF16, MXFP4 -> new int[0];
      case F16, Q4_0, Q5_0, Q8_0, IQ4_NL, IQ4_XS -> new int[] {0};
      case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
      case Q2_K -> new int[] {80, 82};
      case Q3_K -> new int[] {108};
      case Q6_K -> new int[] {208};
    };
  }
}
