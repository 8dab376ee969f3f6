package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Set;
import org.moe4j.engine.EngineException;

/**
 * Floats as stored blocks. F32, F16, BF16, Q8_0 and Q4_0 give the bytes of the formats' reference
 * quantisers; Q4_K and Q6_K, whose references search, are searched here by least squares.
 */
public final class Quantise {
  /** The types that can be written. */
  public static final Set<GgmlType> TYPES =
      Set.of(
          GgmlType.F32,
          GgmlType.F16,
          GgmlType.BF16,
          GgmlType.Q8_0,
          GgmlType.Q4_0,
          GgmlType.Q4_K,
          GgmlType.Q6_K);

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Quantise() {}

  /**
   * Stores {@code count} numbers of a row.
   *
   * @param count a multiple of the type's block
   * @param to receives the bytes from {@code offset}
   * @throws EngineException if the type cannot be written or a number is not finite
   */
  public static void row(
      GgmlType type, float[] from, int at, int count, MemorySegment to, long offset) {
    if (!TYPES.contains(type)) {
      throw new EngineException(type.label() + " can be read, not written; write " + names());
    }
    for (int i = at; i < at + count; i++) {
      if (!Float.isFinite(from[i])) {
        throw new EngineException("number " + (i - at) + " of a row is " + from[i]);
      }
    }
    for (int b = 0; b < count / type.block(); b++) {
      int first = at + b * type.block();
      long p = offset + (long) b * type.bytes();
      switch (type) {
        case F32 -> to.set(FLOAT, p, from[first]);
        case F16 -> to.set(SHORT, p, half(from[first]));
        case BF16 -> to.set(SHORT, p, bf16(from[first]));
        case Q8_0 -> q8(from, first, to, p);
        case Q4_0 -> q4(from, first, to, p);
        case Q4_K -> q4k(from, first, to, p);
        default -> q6k(from, first, to, p);
      }
    }
  }

  private static String names() {
    return TYPES.stream().map(GgmlType::label).sorted().toList().toString();
  }

  /** In half precision, which ends at 65504. */
  private static short half(float x) {
    short stored = Float.floatToFloat16(x);
    if (Float.isInfinite(Float.float16ToFloat(stored))) {
      throw new EngineException("number or scale " + x + " is too large for f16; use bf16 or f32");
    }
    return stored;
  }

  /** Round to nearest, ties to even. */
  private static short bf16(float x) {
    int bits = Float.floatToRawIntBits(x);
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }

  /** Round to nearest, ties away from zero. */
  private static int round(float x) {
    return (int) (Math.signum(x) * (float) Math.floor(Math.abs(x) + 0.5f));
  }

  private static void q8(float[] x, int at, MemorySegment to, long p) {
    float most = 0;
    for (int i = 0; i < 32; i++) {
      most = Math.max(most, Math.abs(x[at + i]));
    }
    float d = most / 127;
    float inverse = d == 0 ? 0 : 1 / d;
    to.set(SHORT, p, half(d));
    for (int i = 0; i < 32; i++) {
      to.set(ValueLayout.JAVA_BYTE, p + 2 + i, (byte) round(x[at + i] * inverse));
    }
  }

  private static void q4(float[] x, int at, MemorySegment to, long p) {
    float extreme = 0;
    for (int i = 0; i < 32; i++) {
      extreme = Math.abs(x[at + i]) > Math.abs(extreme) ? x[at + i] : extreme;
    }
    float d = extreme / -8;
    float inverse = d == 0 ? 0 : 1 / d;
    to.set(SHORT, p, half(d));
    for (int i = 0; i < 16; i++) {
      int low = Math.min(15, (int) (x[at + i] * inverse + 8.5f));
      int high = Math.min(15, (int) (x[at + 16 + i] * inverse + 8.5f));
      to.set(ValueLayout.JAVA_BYTE, p + 2 + i, (byte) (low | (high << 4)));
    }
  }

  /** Eight sub-blocks of 32: x is about scale q - minimum, both in 6 bits of the block's own. */
  private static void q4k(float[] x, int at, MemorySegment to, long p) {
    float[] scale = new float[8];
    float[] less = new float[8];
    float mostScale = 0;
    float mostLess = 0;
    for (int b = 0; b < 8; b++) {
      float[] fit = affine(x, at + 32 * b);
      scale[b] = fit[0];
      less[b] = fit[1];
      mostScale = Math.max(mostScale, scale[b]);
      mostLess = Math.max(mostLess, less[b]);
    }
    short d = half(mostScale / 63);
    short min = half(mostLess / 63);
    to.set(SHORT, p, d);
    to.set(SHORT, p + 2, min);
    float wideD = Float.float16ToFloat(d);
    float wideMin = Float.float16ToFloat(min);
    int[] s = new int[8];
    int[] m = new int[8];
    for (int b = 0; b < 8; b++) {
      s[b] = wideD == 0 ? 0 : Math.min(63, Math.round(scale[b] / wideD));
      m[b] = wideMin == 0 ? 0 : Math.min(63, Math.round(less[b] / wideMin));
    }
    for (int b = 0; b < 4; b++) {
      set(to, p + 4 + b, s[b] | ((s[b + 4] >> 4) << 6));
      set(to, p + 8 + b, m[b] | ((m[b + 4] >> 4) << 6));
      set(to, p + 12 + b, (s[b + 4] & 15) | ((m[b + 4] & 15) << 4));
    }
    for (int pair = 0; pair < 4; pair++) {
      for (int i = 0; i < 32; i++) {
        int low = code(x[at + 64 * pair + i], wideD * s[2 * pair], wideMin * m[2 * pair]);
        int high =
            code(x[at + 64 * pair + 32 + i], wideD * s[2 * pair + 1], wideMin * m[2 * pair + 1]);
        set(to, p + 16 + 32L * pair + i, low | (high << 4));
      }
    }
  }

  private static int code(float x, float scale, float less) {
    return scale == 0 ? 0 : Math.clamp(Math.round((x + less) / scale), 0, 15);
  }

  /**
   * Scale and minimum (at least 0, subtracted) of 32 numbers in 16 steps: from a grid around their
   * range, each refined by one least-squares fit, the one of the smallest squared error.
   */
  private static float[] affine(float[] x, int at) {
    float low = 0;
    float high = x[at];
    for (int i = 0; i < 32; i++) {
      low = Math.min(low, x[at + i]);
      high = Math.max(high, x[at + i]);
    }
    if (high <= low) {
      return new float[] {0, -low};
    }
    float[] best = {(high - low) / 15, -low};
    double least = error(x, at, best[0], best[1]);
    for (int step = -5; step <= 8; step++) {
      float[] fit = refined(x, at, (high - low) / (15 + 0.2f * step), -low);
      double error = error(x, at, fit[0], fit[1]);
      if (error < least) {
        least = error;
        best = fit;
      }
    }
    return best;
  }

  private static double error(float[] x, int at, float scale, float less) {
    double sum = 0;
    for (int i = 0; i < 32; i++) {
      double e = scale * code(x[at + i], scale, less) - less - x[at + i];
      sum += e * e;
    }
    return sum;
  }

  /** The least-squares line through (code, x), its minimum kept at 0 or above. */
  private static float[] refined(float[] x, int at, float scale, float less) {
    double q1 = 0;
    double q2 = 0;
    double sum = 0;
    double product = 0;
    for (int i = 0; i < 32; i++) {
      int q = code(x[at + i], scale, less);
      q1 += q;
      q2 += (double) q * q;
      sum += x[at + i];
      product += (double) q * x[at + i];
    }
    double determinant = 32 * q2 - q1 * q1;
    double slope = determinant == 0 ? 0 : (32 * product - q1 * sum) / determinant;
    double minimum = determinant == 0 ? 0 : (slope * q1 - sum) / 32;
    if (minimum < 0) {
      minimum = 0;
      slope = q2 == 0 ? 0 : product / q2;
    }
    return slope > 0 ? new float[] {(float) slope, (float) minimum} : new float[] {scale, less};
  }

  /** Sixteen sub-blocks of 16 with 8-bit scales of the block's own; codes -32..31. */
  private static void q6k(float[] x, int at, MemorySegment to, long p) {
    float[] scale = new float[16];
    float extreme = 0;
    for (int b = 0; b < 16; b++) {
      scale[b] = symmetric(x, at + 16 * b);
      extreme = Math.abs(scale[b]) > Math.abs(extreme) ? scale[b] : extreme;
    }
    short d = half(extreme == 0 ? 0 : extreme / -128);
    to.set(SHORT, p + 208, d);
    float wide = Float.float16ToFloat(d);
    int[] codes = new int[256];
    for (int b = 0; b < 16; b++) {
      int s = wide == 0 ? 0 : Math.clamp(Math.round(scale[b] / wide), -128, 127);
      set(to, p + 192 + b, s);
      float unit = wide * s;
      for (int i = 16 * b; i < 16 * b + 16; i++) {
        codes[i] = unit == 0 ? 32 : Math.clamp(Math.round(x[at + i] / unit), -32, 31) + 32;
      }
    }
    for (int half = 0; half < 2; half++) {
      for (int i = 0; i < 32; i++) {
        int a = codes[128 * half + i];
        int b = codes[128 * half + 32 + i];
        int c = codes[128 * half + 64 + i];
        int e = codes[128 * half + 96 + i];
        set(to, p + 64L * half + i, (a & 15) | ((c & 15) << 4));
        set(to, p + 64L * half + 32 + i, (b & 15) | ((e & 15) << 4));
        int high = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((e >> 4) << 6);
        set(to, p + 128 + 32L * half + i, high);
      }
    }
  }

  /** The scale of 16 numbers in codes -32..31 with the smallest squared error on a small grid. */
  private static float symmetric(float[] x, int at) {
    float extreme = 0;
    for (int i = 0; i < 16; i++) {
      extreme = Math.abs(x[at + i]) > Math.abs(extreme) ? x[at + i] : extreme;
    }
    if (extreme == 0) {
      return 0;
    }
    float best = extreme / -32;
    double gain = -1;
    for (int step = -9; step <= 9; step++) {
      float scale = extreme / (-32 + 0.1f * step);
      double product = 0;
      double squares = 0;
      for (int i = 0; i < 16; i++) {
        int q = Math.clamp(Math.round(x[at + i] / scale), -32, 31);
        product += (double) q * x[at + i];
        squares += (double) q * q;
      }
      if (squares > 0 && product * product / squares > gain) {
        gain = product * product / squares;
        best = (float) (product / squares);
      }
    }
    return best;
  }

  private static void set(MemorySegment to, long p, int value) {
    to.set(ValueLayout.JAVA_BYTE, p, (byte) value);
  }
}
