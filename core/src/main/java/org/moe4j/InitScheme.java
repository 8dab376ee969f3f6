package org.moe4j;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.moe4j.tensor.MoeException;

/** How the gate and the experts of a layer start. */
public enum InitScheme {
  /** Normal of deviation 0.02 everywhere: most language models, MegaBlocks (S25). */
  NORMAL,
  /**
   * Experts normal of deviation 0.006, gate Kaiming-uniform: DeepSeekMoE's paper and code (S36).
   */
  DEEPSEEK,
  /** Truncated normal of variance 0.1 / fan-in everywhere (S06). */
  SWITCH,
  /** Experts as {@link #SWITCH}, gate normal of deviation 0.02 (S18's code). */
  ST_MOE,
  /** Truncated normal of variance 1 / fan-in everywhere: T5's default. */
  T5,
  /** Uniform of bound sqrt(3 / fan-in) everywhere (S05). */
  GSHARD,
  /** Experts uniform of bound sqrt(3 / fan-in), gate zero: noise must break the symmetry (S01). */
  SHAZEER;

  /** The start of an expert's weights with this many inputs. */
  public Init weight(long fanIn) {
    return switch (this) {
      case NORMAL -> Init.normal(0.02);
      case DEEPSEEK -> Init.normal(0.006);
      case SWITCH, ST_MOE -> Init.fanIn(0.1, fanIn);
      case T5 -> Init.fanIn(1, fanIn);
      case GSHARD, SHAZEER -> Init.gshard(fanIn);
    };
  }

  /** The start of the gate's weights. */
  public Init gate(long fanIn) {
    return switch (this) {
      case NORMAL, ST_MOE -> Init.normal(0.02);
      case DEEPSEEK -> Init.kaimingUniform(fanIn);
      case SWITCH -> Init.fanIn(0.1, fanIn);
      case T5 -> Init.fanIn(1, fanIn);
      case GSHARD -> Init.gshard(fanIn);
      case SHAZEER -> Init.zeros();
    };
  }

  /** The name in configuration files, for instance {@code st-moe}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The scheme of this name.
   *
   * @throws MoeException for an unknown one
   */
  public static InitScheme named(String name) {
    for (InitScheme scheme : values()) {
      if (scheme.label().equals(name)) {
        return scheme;
      }
    }
    throw new MoeException(
        "unknown initialisation \""
            + name
            + "\"; use one of "
            + Arrays.stream(values()).map(InitScheme::label).collect(Collectors.joining(", ")));
  }
}
