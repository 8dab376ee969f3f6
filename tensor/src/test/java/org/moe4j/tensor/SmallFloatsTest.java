package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Every code against libtorch's conversion or the standard's definition. */
class SmallFloatsTest {
  private static byte[] everyCode() {
    byte[] codes = new byte[256];
    for (int i = 0; i < 256; i++) {
      codes[i] = (byte) i;
    }
    return codes;
  }

  private static void same(float ours, float theirs, String what) {
    assertThat(Float.floatToIntBits(ours)).as(what).isEqualTo(Float.floatToIntBits(theirs));
  }

  @Test
  void e4m3IsLibtorchs() {
    try (Scope scope = Scope.open()) {
      float[] expected = Tensor.of(everyCode()).bitsAs(DType.F8_E4M3).toFloats();
      for (int i = 0; i < 256; i++) {
        same(SmallFloats.e4m3((byte) i), expected[i], "code " + i);
      }
    }
    assertThat(SmallFloats.e4m3((byte) 0x7E)).isEqualTo(448f);
    assertThat(SmallFloats.e4m3((byte) 0x01)).isEqualTo(0x1p-9f);
    same(SmallFloats.e4m3((byte) 0x80), -0f, "negative zero");
    assertThat(SmallFloats.e4m3((byte) 0x7F)).isNaN();
    assertThat(SmallFloats.e4m3((byte) 0xFF)).isNaN();
  }

  @Test
  void e8m0IsAPowerOfTwo() {
    for (int i = 0; i < 255; i++) {
      same(SmallFloats.e8m0((byte) i), (float) Math.pow(2, i - 127), "byte " + i);
    }
    assertThat(SmallFloats.e8m0((byte) 0)).isEqualTo(0x1p-127f).isGreaterThan(0);
    assertThat(SmallFloats.e8m0((byte) 254)).isEqualTo(0x1p127f);
    assertThat(SmallFloats.e8m0((byte) 255)).isNaN();
    try (Scope scope = Scope.open()) {
      float[] expected = Tensor.of(everyCode()).bitsAs(DType.F8_E8M0).toFloats();
      for (int i = 0; i < 256; i++) {
        same(SmallFloats.e8m0((byte) i), expected[i], "byte " + i + " in libtorch");
      }
    }
  }

  @Test
  void e2m1IsItsDefinition() {
    for (int i = 0; i < 16; i++) {
      int exponent = (i >> 1) & 3;
      double size = exponent == 0 ? (i & 1) * 0.5 : (1 + (i & 1) * 0.5) * (1 << (exponent - 1));
      same(SmallFloats.e2m1(i), (float) (i < 8 ? size : -size), "code " + i);
    }
  }

  @Test
  void bf16RoundsAsLibtorch() {
    float[] values = new float[70_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(i * 61_357);
    }
    values[0] = Float.MAX_VALUE;
    values[1] = Float.intBitsToFloat(0x7F800001);
    values[2] = 0x1.01p0f;
    values[3] = 0x1.03p0f;
    values[4] = Float.NEGATIVE_INFINITY;
    values[5] = 0x1p-133f;
    try (Scope scope = Scope.open()) {
      float[] expected = Tensor.of(values).to(DType.BF16).toFloats();
      for (int i = 0; i < values.length; i++) {
        float ours = Float.intBitsToFloat(SmallFloats.bf16(values[i]) << 16);
        same(ours, expected[i], "value " + values[i]);
      }
    }
  }
}
