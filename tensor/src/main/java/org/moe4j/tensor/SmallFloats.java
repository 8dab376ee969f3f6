package org.moe4j.tensor;

/**
 * What the codes of floating-point types of 4 and 8 bits stand for. All values are exact in F32.
 *
 * <p>Sources: Micikevicius et al., "FP8 Formats for Deep Learning" (2022), section 3 for E4M3; OCP
 * Microscaling Formats (MX) v1.0, section 5.3.3 for E2M1 and 5.4.1 for E8M0.
 */
final class SmallFloats {
  /** Of the E8M0 bytes the only one that is no power of two. */
  static final int E8M0_NAN = 0xFF;

  private static final float[] E4M3 = new float[256];
  private static final float[] E8M0 = new float[256];
  private static final float[] E2M1 = {
    0f, 0.5f, 1f, 1.5f, 2f, 3f, 4f, 6f, -0f, -0.5f, -1f, -1.5f, -2f, -3f, -4f, -6f
  };

  static {
    for (int code = 0; code < 256; code++) {
      int exponent = (code >> 3) & 15;
      int fraction = code & 7;
      float size =
          (code & 127) == 127
              ? Float.NaN
              : exponent == 0
                  ? Math.scalb((float) fraction, -9)
                  : Math.scalb((float) (8 + fraction), exponent - 10);
      E4M3[code] = code < 128 ? size : -size;
      E8M0[code] = code == E8M0_NAN ? Float.NaN : Math.scalb(1f, code - 127);
    }
  }

  private SmallFloats() {}

  /** Sign, 4 bits of exponent with bias 7, 3 of fraction; no infinities, 0x7F and 0xFF are NaN. */
  static float e4m3(byte code) {
    return E4M3[code & 0xFF];
  }

  /** 2^(code - 127): 2^-127 is subnormal in F32; 0xFF is NaN. */
  static float e8m0(byte code) {
    return E8M0[code & 0xFF];
  }

  /** Sign, 2 bits of exponent, 1 of fraction, in the lowest four bits of {@code code}. */
  static float e2m1(int code) {
    return E2M1[code & 15];
  }

  /** The F32 with this upper half. */
  static float ofBf16(short code) {
    return Float.intBitsToFloat(code << 16);
  }

  /** The upper half of the F32 pattern, rounded to nearest, ties to even; NaN stays NaN. */
  static short bf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (short)
        (Float.isNaN(value) ? (bits >>> 16) | 0x40 : (bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }
}
