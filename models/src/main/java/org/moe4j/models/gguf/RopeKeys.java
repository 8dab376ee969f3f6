package org.moe4j.models.gguf;

import java.util.List;
import org.moe4j.models.RopeConfig;
import org.moe4j.models.RopeConfig.Scaling;

/** What files say of a rotary embedding. */
final class RopeKeys {
  private static final String TYPE = "rope.scaling.type";
  private static final String FACTOR = "rope.scaling.factor";
  private static final String MAGNITUDE = "rope.scaling.attn_factor";
  private static final String ORIGINAL = "rope.scaling.original_context_length";

  private RopeKeys() {}

  /** What readers of the files do otherwise. */
  static void check(RopeConfig rope, Fit fit) {
    switch (rope.scaling()) {
      case Scaling.None n -> {}
      case Scaling.Linear s -> {}
      case Scaling.Dynamic s -> fit.limit(s.original(), "rotation that grows with the text");
      case Scaling.Yarn s ->
          fit.remark(
              s.betaFast() != 32 || s.betaSlow() != 1 || !s.truncate(),
              "llama.cpp blends YaRN between 32 turns and 1, rounded to whole pairs; this model"
                  + " has "
                  + s.betaFast()
                  + ", "
                  + s.betaSlow()
                  + (s.truncate() ? "" : ", not rounded"));
      case Scaling.LongRope s ->
          fit.remark(
              s.shortMagnitude() != s.longMagnitude(),
              "one magnitude of LongRoPE for all texts: that of long ones");
    }
  }

  /** Writes keys, and the tensors of factors that every pair has of its own. */
  static void write(RopeConfig rope, int rotated, Keys keys, TensorTable table) {
    keys.put("rope.dimension_count", rotated).put("rope.freq_base", rope.theta());
    switch (rope.scaling()) {
      case Scaling.None n -> {}
      case Scaling.Dynamic s -> {}
      case Scaling.Linear s -> keys.put(TYPE, "linear").put(FACTOR, s.factor());
      case Scaling.Yarn s -> {
        yarn(s, keys);
        // Readers multiply by this themselves.
        double own = magnitude(s.factor());
        if (s.magnitude() != own) {
          keys.put(MAGNITUDE, s.magnitude() / own);
        }
      }
      case Scaling.LongRope s -> {
        keys.put(TYPE, "longrope").put(ORIGINAL, s.original()).put(MAGNITUDE, s.longMagnitude());
        table.constant("rope_factors_long.weight", floats(s.longFactors()));
        table.constant("rope_factors_short.weight", floats(s.shortFactors()));
      }
    }
  }

  /** What both kinds of attention say of YaRN. */
  static void yarn(Scaling.Yarn s, Keys keys) {
    keys.put(TYPE, "yarn").put(FACTOR, s.factor()).put(ORIGINAL, s.original());
    if (s.betaFast() != 32 || s.betaSlow() != 1) {
      keys.put("rope.scaling.yarn_beta_fast", s.betaFast());
      keys.put("rope.scaling.yarn_beta_slow", s.betaSlow());
    }
  }

  /** YaRN's magnitude of cosines and sines where a model names none. */
  static double magnitude(double factor) {
    return factor <= 1 ? 1 : 1 + 0.1 * Math.log(factor);
  }

  static void magnitude(double value, Keys keys) {
    keys.put(MAGNITUDE, value);
  }

  private static float[] floats(List<Double> values) {
    float[] all = new float[values.size()];
    for (int i = 0; i < all.length; i++) {
      all[i] = values.get(i).floatValue();
    }
    return all;
  }
}
