package org.moe4j;

import java.util.Locale;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The function of an expert of hidden width h: an MLP {@code y = act(x A) B}, or gated {@code y =
 * (act(x A) * (x A')) B}.
 *
 * @param activation the non-linearity
 * @param gated whether a second up projection multiplies the activated first
 * @param biases whether both projections have a bias
 */
public record ExpertForm(Activation activation, boolean gated, boolean biases) {
  /** Gated SiLU without biases, as in most language models. */
  public static final ExpertForm SWIGLU = new ExpertForm(Activation.SILU, true, false);

  /** Gated GELU without biases (S18). */
  public static final ExpertForm GEGLU = new ExpertForm(Activation.GELU, true, false);

  /** ReLU MLP without biases (S01, S05, S06). */
  public static final ExpertForm RELU = new ExpertForm(Activation.RELU, false, false);

  /** GELU MLP without biases (S25). */
  public static final ExpertForm GELU = new ExpertForm(Activation.GELU, false, false);

  /** With or without biases. */
  public ExpertForm withBiases(boolean on) {
    return new ExpertForm(activation, gated, on);
  }

  /**
   * The form called {@code swiglu}, {@code geglu}, {@code relu} or {@code gelu}.
   *
   * @throws MoeException for another name
   */
  public static ExpertForm named(String name) {
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "swiglu" -> SWIGLU;
      case "geglu" -> GEGLU;
      case "relu" -> RELU;
      case "gelu" -> GELU;
      default ->
          throw new MoeException(
              "unknown expert form \"" + name + "\"; use swiglu, geglu, relu or gelu");
    };
  }

  /** Matrices of an expert: 3 if gated, else 2. */
  public int matrices() {
    return gated ? 3 : 2;
  }

  /** Rows of the stacked up projection: 2h if gated (gate first, then up), else h. */
  public long inRows(long hidden) {
    return gated ? 2 * hidden : hidden;
  }

  /** Weights and biases of one expert of width {@code d} and hidden width {@code h}. */
  public long parameters(long d, long h) {
    return matrices() * d * h + (biases ? inRows(h) + d : 0);
  }

  /** The hidden activation [..., h] from the up projection's output [..., h or 2h]. */
  Tensor hidden(Tensor projected) {
    if (!gated) {
      return activation.of(projected);
    }
    long h = projected.size(-1) / 2;
    return activation.of(projected.narrow(-1, 0, h)).mul(projected.narrow(-1, h, h));
  }
}
