package org.moe4j.engine.model;

import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.Metadata;

/**
 * Rotary position embedding and how it is stretched beyond the context of training.
 *
 * @param pairing which numbers of a head turn together
 * @param rotated how many numbers of a head turn
 * @param base angle of pair i at position 1: base^(-2 i / rotated)
 * @param factor what angles are divided by
 * @param kept how much of the angles of fast pairs is not divided (YaRN; 0 without)
 * @param fast turns within the original context from which on a pair is fast
 * @param slow turns up to which it is slow: all of its angle is divided
 * @param original context of training
 * @param magnitude what rotated numbers are multiplied by
 * @param logMultiplier strength of a further factor of attention's scale (YaRN; 0 without)
 */
public record RotaryShape(
    Architecture.Pairing pairing,
    int rotated,
    double base,
    double factor,
    double kept,
    double fast,
    double slow,
    int original,
    double magnitude,
    double logMultiplier) {

  /** What the metadata says of heads of which {@code rotated} numbers turn. */
  static RotaryShape of(String file, Metadata m, Architecture architecture, int rotated) {
    String p = architecture.label() + ".rope.";
    String s = p + "scaling.";
    String type = m.text(s + "type").orElse("linear");
    double stated = m.number(s + "factor").orElse(m.number(p + "scale_linear").orElse(0));
    double factor = type.equals("none") || stated == 0 ? 1 : stated;
    double kept =
        switch (type) {
          case "none", "linear", "longrope" -> 0;
          case "yarn" -> m.number(s + "yarn_ext_factor").orElse(1);
          default ->
              throw new EngineException(
                  file
                      + ": rotary scaling "
                      + type
                      + " is not supported; known: none, linear, yarn, longrope");
        };
    if (!(factor > 0)) {
      throw new EngineException(file + ": " + s + "factor is " + factor + ", expected more than 0");
    }
    // deepseek2 files hold a tenth of it
    double logMultiplier =
        m.number(s + "yarn_log_multiplier").orElse(0) * (architecture.latent() ? 10 : 1);
    double magnitude = m.number(s + "attn_factor").orElse(1);
    if (kept == 0) {
      magnitude *= m.number(s + "yarn_attn_factor").orElse(1);
    } else if (logMultiplier == 0) {
      magnitude *= growth(factor, 1);
    } else if (!architecture.latent()) {
      magnitude *= growth(factor, 1) / growth(factor, logMultiplier);
    }
    return new RotaryShape(
        architecture.pairing(),
        rotated,
        m.number(p + "freq_base").orElse(10000),
        factor,
        kept,
        m.number(s + "yarn_beta_fast").orElse(32),
        m.number(s + "yarn_beta_slow").orElse(1),
        m.has(s + "original_context_length")
            ? m.require(s + "original_context_length", 1, Integer.MAX_VALUE)
            : m.require(architecture.label() + ".context_length", 1, Integer.MAX_VALUE),
        magnitude,
        logMultiplier);
  }

  /** What attention's scale is to be multiplied by where only part of a head is rotated. */
  double sharpness() {
    double m = magnitude * growth(factor, logMultiplier);
    return m * m;
  }

  private static double growth(double factor, double strength) {
    return factor <= 1 ? 1 : 0.1 * strength * Math.log(factor) + 1;
  }

  /** Angle of each pair at position 1, divided by {@code divisors} if there are any. */
  double[] speeds(float[] divisors) {
    double low = Math.max(0, Math.floor(pair(fast)));
    double high = Math.min(rotated - 1, Math.ceil(pair(slow)));
    double[] speeds = new double[rotated / 2];
    for (int i = 0; i < speeds.length; i++) {
      double speed = StrictMath.pow(base, -2.0 * i / rotated);
      speed = divisors.length == 0 ? speed : speed / divisors[i];
      double ramp = Math.clamp((i - low) / Math.max(0.001, high - low), 0.0, 1.0);
      double whole = kept * (1 - ramp);
      speeds[i] = speed / factor * (1 - whole) + speed * whole;
    }
    return speeds;
  }

  /** The pair, as a fraction, that turns this often within the original context. */
  private double pair(double turns) {
    return rotated * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  }
}
