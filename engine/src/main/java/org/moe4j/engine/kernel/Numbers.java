package org.moe4j.engine.kernel;

/** Functions of single numbers in float arithmetic that is the same everywhere. */
final class Numbers {
  static final float LOG2_E = 0x1.715476p0f;
  static final float LN2_HIGH = 0x1.63p-1f;
  static final float LN2_LOW = -0x1.bd0106p-13f;

  /** Adding it rounds to whole numbers; the sum's low bits are the number. */
  static final float ROUNDER = 12582912f;

  static final int ROUNDER_BITS = 0x4b400000;
  static final float LEAST = -87f;
  static final float MOST = 88f;

  /** Coefficients for e^r on |r| <= ln 2 / 2 (Taylor's series), the highest power first. */
  static final float C7 = 1f / 5040;

  static final float C6 = 1f / 720;
  static final float C5 = 1f / 120;
  static final float C4 = 1f / 24;
  static final float C3 = 1f / 6;

  private Numbers() {}

  /** e^x, x kept within -87 and 88. */
  static float exp(float x) {
    float y = Math.min(MOST, Math.max(LEAST, x));
    float shifted = Math.fma(y, LOG2_E, ROUNDER);
    float n = shifted - ROUNDER;
    float r = Math.fma(n, -LN2_LOW, Math.fma(n, -LN2_HIGH, y));
    float p = Math.fma(C7, r, C6);
    p = Math.fma(p, r, C5);
    p = Math.fma(p, r, C4);
    p = Math.fma(p, r, C3);
    p = Math.fma(p, r, 0.5f);
    p = Math.fma(p, r, 1f);
    p = Math.fma(p, r, 1f);
    int power = (Float.floatToRawIntBits(shifted) - ROUNDER_BITS + 127) << 23;
    return p * Float.intBitsToFloat(power);
  }

  /** x / (1 + e^-x). */
  static float silu(float x) {
    return x / (1f + exp(-x));
  }
}
