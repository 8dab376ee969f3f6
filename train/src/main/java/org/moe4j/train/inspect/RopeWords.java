package org.moe4j.train.inspect;

import org.moe4j.models.RopeConfig;
import org.moe4j.models.RopeConfig.Scaling;
import tools.jackson.databind.node.ObjectNode;

/** A rotary position embedding, told. */
final class RopeWords {
  private RopeWords() {}

  /**
   * For instance {@code RoPE theta 10,000 on 8 channels, neighbours paired; YaRN x4 beyond 16}.
   *
   * @param channels of a head that the embedding sees
   */
  static String of(RopeConfig rope, int channels) {
    int rotated = rope.rotatedOf(channels);
    return "RoPE theta "
        + Figures.of(rope.theta())
        + (rotated == channels ? "" : " on " + rotated + " of " + channels + " channels")
        + (rope.interleaved() ? ", neighbouring channels paired" : "")
        + scaling(rope.scaling());
  }

  private static String scaling(Scaling scaling) {
    return switch (scaling) {
      case Scaling.None none -> "";
      case Scaling.Linear s -> "; linear scaling by " + Figures.of(s.factor());
      case Scaling.Dynamic s ->
          "; dynamic scaling by " + Figures.of(s.factor()) + beyond(s.original());
      case Scaling.Yarn s ->
          "; YaRN scaling by "
              + Figures.of(s.factor())
              + beyond(s.original())
              + magnitude(s.magnitude());
      case Scaling.LongRope s ->
          "; LongRoPE, short and long factors with the change at "
              + s.original()
              + " positions"
              + magnitude(s.longMagnitude());
    };
  }

  private static String beyond(int positions) {
    return " beyond " + Figures.of(positions) + " positions";
  }

  private static String magnitude(double factor) {
    return factor == 1 ? "" : ", cosines and sines times " + Figures.of(factor);
  }

  static void write(RopeConfig rope, int channels, ObjectNode json) {
    json.put("theta", rope.theta());
    json.put("channels", rope.rotatedOf(channels));
    json.put("interleaved", rope.interleaved());
    ObjectNode scaling = json.putObject("scaling");
    switch (rope.scaling()) {
      case Scaling.None none -> scaling.put("type", "none");
      case Scaling.Linear s -> scaling.put("type", "linear").put("factor", s.factor());
      case Scaling.Dynamic s ->
          scaling.put("type", "dynamic").put("factor", s.factor()).put("original", s.original());
      case Scaling.Yarn s ->
          scaling
              .put("type", "yarn")
              .put("factor", s.factor())
              .put("original", s.original())
              .put("beta_fast", s.betaFast())
              .put("beta_slow", s.betaSlow())
              .put("truncate", s.truncate())
              .put("magnitude", s.magnitude());
      case Scaling.LongRope s -> {
        scaling
            .put("type", "longrope")
            .put("original", s.original())
            .put("short_magnitude", s.shortMagnitude())
            .put("long_magnitude", s.longMagnitude());
        s.shortFactors().forEach(scaling.putArray("short_factors")::add);
        s.longFactors().forEach(scaling.putArray("long_factors")::add);
      }
    }
  }
}
