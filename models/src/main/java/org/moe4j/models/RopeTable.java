package org.moe4j.models;

import java.util.List;
import org.moe4j.models.RopeConfig.Scaling;

/**
 * Frequencies and magnitude of a rotary embedding in a text of a given length. Everything is
 * rounded to 32 bits where the released models' code rounds.
 *
 * @param frequencies turn per position of each channel pair, [R/2]
 * @param magnitude factor of cosines and sines
 */
record RopeTable(float[] frequencies, double magnitude) {
  /** The frequencies for heads of {@code headDim} channels in a text of {@code length} tokens. */
  static RopeTable of(RopeConfig config, int headDim, long length) {
    int rotated = config.rotatedOf(headDim);
    float[] plain = plain(config.theta(), rotated);
    return switch (config.scaling()) {
      case Scaling.None n -> new RopeTable(plain, 1);
      case Scaling.Linear s -> new RopeTable(divided(plain, (float) s.factor()), 1);
      case Scaling.Dynamic s -> new RopeTable(dynamic(config.theta(), rotated, s, length), 1);
      case Scaling.Yarn s -> new RopeTable(yarn(config.theta(), rotated, s, plain), s.magnitude());
      case Scaling.LongRope s ->
          length > s.original()
              ? new RopeTable(divided(plain, s.longFactors()), s.longMagnitude())
              : new RopeTable(divided(plain, s.shortFactors()), s.shortMagnitude());
    };
  }

  private static float[] plain(double theta, int rotated) {
    float[] f = new float[rotated / 2];
    for (int j = 0; j < f.length; j++) {
      f[j] = 1 / (float) Math.pow(theta, (double) ((float) (2 * j) / rotated));
    }
    return f;
  }

  private static float[] divided(float[] f, float factor) {
    float[] d = new float[f.length];
    for (int j = 0; j < f.length; j++) {
      d[j] = f[j] / factor;
    }
    return d;
  }

  private static float[] divided(float[] f, List<Double> factors) {
    float[] d = new float[f.length];
    for (int j = 0; j < f.length; j++) {
      d[j] = (float) (1 / (factors.get(j) / f[j]));
    }
    return d;
  }

  private static float[] dynamic(double theta, int rotated, Scaling.Dynamic s, long length) {
    double n = Math.max(length, s.original());
    double grown = s.factor() * n / s.original() - (s.factor() - 1);
    return plain(theta * Math.pow(grown, rotated / (rotated - 2.0)), rotated);
  }

  private static float[] yarn(double theta, int rotated, Scaling.Yarn s, float[] plain) {
    double low = pairOf(s.betaFast(), theta, rotated, s.original());
    double high = pairOf(s.betaSlow(), theta, rotated, s.original());
    if (s.truncate()) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, rotated - 1);
    // Equal bounds would divide by zero; a step of this width changes no pair.
    double width = high == low ? 0.001 : high - low;
    float[] f = new float[plain.length];
    for (int j = 0; j < f.length; j++) {
      double ramp = Math.clamp((j - low) / width, 0, 1);
      f[j] = (float) (plain[j] / s.factor() * ramp + plain[j] * (1 - ramp));
    }
    return f;
  }

  /** The (fractional) pair that makes {@code turns} turns within {@code original} positions. */
  private static double pairOf(double turns, double theta, int rotated, int original) {
    return rotated * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  }
}
