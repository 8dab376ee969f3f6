package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.engine.gguf.Dequantise;
import org.moe4j.engine.gguf.GgmlType;

class UnpackerTest {
  private static final int BLOCKS = 64;

  /** Zeros, subnormals, the largest, infinities and not-a-number. */
  private static final int[] EXTREMES = {
    0, 0x8000, 1, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfd01
  };

  private static float[] unpacked(GgmlType type, MemorySegment stored, int count) {
    float[] numbers = new float[count];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocate(stored.byteSize()).copyFrom(stored);
      MemorySegment to = arena.allocate(count * 4L, 64);
      long codes = arena.allocate(CodeRow.BYTES, 64).address();
      for (int c = 0; c < count; c += CodeRow.COLUMNS) {
        int n = Math.min(CodeRow.COLUMNS, count - c);
        Unpacker.unpack(type, from.address() + type.bytes(c), n, codes, to.address() + 4L * c);
      }
      MemorySegment.copy(to, ValueLayout.JAVA_FLOAT, 0, numbers, 0, count);
    }
    return numbers;
  }

  private static void compare(GgmlType type, byte[] bytes, int count) {
    MemorySegment stored = MemorySegment.ofArray(bytes);
    float[] expected = new float[count];
    Dequantise.row(type, stored, 0, count, expected, 0);
    assertThat(bits(unpacked(type, stored, count))).containsExactly(bits(expected));
  }

  private static int[] bits(float[] numbers) {
    int[] bits = new int[numbers.length];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = Float.floatToIntBits(numbers[i]);
    }
    return bits;
  }

  @ParameterizedTest
  @EnumSource
  void randomBytesUnpackToTheBitsOfTheReference(GgmlType type) {
    byte[] bytes = new byte[BLOCKS * type.bytes()];
    new Random(type.id()).nextBytes(bytes);
    compare(type, bytes, BLOCKS * type.block());
  }

  @ParameterizedTest
  @EnumSource
  void extremeScalesUnpackToTheBitsOfTheReference(GgmlType type) {
    byte[] bytes = new byte[BLOCKS * type.bytes()];
    Random random = new Random(type.id());
    random.nextBytes(bytes);
    for (int b = 0; b < BLOCKS; b++) {
      for (int at : RandomBlocks.scales(type)) {
        int scale = EXTREMES[random.nextInt(EXTREMES.length)];
        bytes[b * type.bytes() + at] = (byte) scale;
        bytes[b * type.bytes() + at + 1] = (byte) (scale >> 8);
      }
    }
    compare(type, bytes, BLOCKS * type.block());
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void rowsOfPlainNumbersMayEndAnywhere(GgmlType type) {
    for (int count = 1; count < 40; count++) {
      byte[] bytes = new byte[count * type.bytes()];
      new Random(count).nextBytes(bytes);
      compare(type, bytes, count);
    }
  }

  /** All halves: every one has a bit pattern of its own as a float, but for not-a-numbers. */
  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void everyNumberOf16BitsUnpacksToTheBitsOfTheReference(GgmlType type) {
    byte[] bytes = new byte[1 << 17];
    for (int i = 0; i < 1 << 16; i++) {
      bytes[2 * i] = (byte) i;
      bytes[2 * i + 1] = (byte) (i >> 8);
    }
    compare(type, bytes, 1 << 16);
  }
}
