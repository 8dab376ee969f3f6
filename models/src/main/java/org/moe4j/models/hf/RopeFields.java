package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.models.RopeConfig;
import org.moe4j.models.RopeConfig.Scaling;

/**
 * The rotary embedding of a {@code config.json}, in the spellings of transformers 4 ({@code
 * rope_theta}, {@code rope_scaling} with {@code type} or {@code rope_type}) and 5 ({@code
 * rope_parameters}).
 */
final class RopeFields {
  private RopeFields() {}

  /**
   * The embedding of heads of {@code headDim} channels.
   *
   * @param theta the family's base where the file names none
   */
  static RopeConfig read(ConfigFile f, double theta, int headDim) {
    double base = f.numberOr(theta, "rope_theta", "rope_parameters/rope_theta");
    RopeConfig plain = RopeConfig.of(base);
    String type = type(f);
    if (type.equals("dynamic") && f.has(fields("alpha"))) {
      double alpha = f.number(fields("alpha"));
      double power = headDim / (headDim - 2.0);
      return f.checked(() -> plain.withTheta(base * Math.pow(alpha, power)));
    }
    return f.checked(() -> plain.with(scaling(f, type)));
  }

  /** The name of the scaling, {@code default} for none. */
  static String type(ConfigFile f) {
    return f.textOr(
        "default",
        "rope_parameters/rope_type",
        "rope_scaling/rope_type",
        "rope_parameters/type",
        "rope_scaling/type");
  }

  private static Scaling scaling(ConfigFile f, String type) {
    return switch (type) {
      case "default", "mrope" -> Scaling.NONE;
      case "linear" -> new Scaling.Linear(f.number(fields("factor")));
      case "dynamic" ->
          new Scaling.Dynamic(f.number(fields("factor")), f.positive("max_position_embeddings"));
      case "yarn" -> yarn(f);
      case "longrope", "su" -> longRope(f);
      default ->
          throw f.failure(
              "rope type "
                  + type
                  + " is not supported; use default, linear, dynamic, yarn or"
                  + " longrope");
    };
  }

  private static Scaling yarn(ConfigFile f) {
    int original = original(f);
    double factor = f.number(fields("factor"));
    return new Scaling.Yarn(
        factor,
        original,
        f.numberOr(32, fields("beta_fast")),
        f.numberOr(1, fields("beta_slow")),
        f.flagOr(true, fields("truncate")),
        magnitude(f, factor));
  }

  private static double magnitude(ConfigFile f, double factor) {
    if (f.has(fields("attention_factor"))) {
      return f.number(fields("attention_factor"));
    }
    double all = f.numberOr(0, fields("mscale_all_dim"));
    double own = f.numberOr(0, fields("mscale"));
    return all != 0 && own != 0
        ? yarnMagnitude(factor, own) / yarnMagnitude(factor, all)
        : yarnMagnitude(factor, 1);
  }

  /** YaRN's {@code 0.1 m ln(factor) + 1}, 1 without stretching. */
  private static double yarnMagnitude(double factor, double m) {
    return factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1;
  }

  /** What DeepSeek's attention multiplies its scores by besides the usual scale. */
  static double scoreFactor(ConfigFile f) {
    double all = f.numberOr(0, fields("mscale_all_dim"));
    if (all == 0 || !type(f).equals("yarn")) {
      return 1;
    }
    double m = yarnMagnitude(f.number(fields("factor")), all);
    return m * m;
  }

  private static Scaling longRope(ConfigFile f) {
    int original = original(f);
    List<Double> shortFactors = f.numbers(fields("short_factor"));
    List<Double> longFactors = f.numbers(fields("long_factor"));
    double both = f.numberOr(longRopeMagnitude(f, original), fields("attention_factor"));
    return new Scaling.LongRope(
        shortFactors,
        longFactors,
        original,
        f.numberOr(both, fields("short_mscale")),
        f.numberOr(both, fields("long_mscale")));
  }

  private static double longRopeMagnitude(ConfigFile f, int original) {
    double stretched = (double) f.positive("max_position_embeddings") / original;
    double factor = f.numberOr(stretched, fields("factor"));
    return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  }

  private static int original(ConfigFile f) {
    return f.positive(
        "rope_parameters/original_max_position_embeddings",
        "rope_scaling/original_max_position_embeddings",
        "original_max_position_embeddings",
        "max_position_embeddings");
  }

  private static String[] fields(String name) {
    return new String[] {"rope_parameters/" + name, "rope_scaling/" + name};
  }
}
