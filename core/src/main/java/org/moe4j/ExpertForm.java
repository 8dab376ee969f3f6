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
 * @param clamp bounds of a gated form's two projections; of another {@link Clamp#NONE}
 */
public record ExpertForm(Activation activation, boolean gated, boolean biases, Clamp clamp) {
  /**
   * Bounds of a gated form's projections before they meet: {@code act(min(x A, limit)) * (clamp(x
   * A', -limit, limit) + shift)}.
   *
   * @param limit a positive number, infinite for no bound
   * @param shift is added to the second projection
   */
  public record Clamp(double limit, double shift) {
    /** No bound, no shift. */
    public static final Clamp NONE = new Clamp(Double.POSITIVE_INFINITY, 0);

    /** Refuses a limit that is not positive and a shift that is not finite. */
    public Clamp {
      if (!(limit > 0)) {
        throw new MoeException("clamp limit " + limit + "; give a positive number");
      }
      if (!Double.isFinite(shift)) {
        throw new MoeException("clamp shift " + shift + "; give a finite number");
      }
    }

    private Tensor gate(Tensor x) {
      return limit == Double.POSITIVE_INFINITY ? x : x.clamp(Double.NEGATIVE_INFINITY, limit);
    }

    private Tensor up(Tensor x) {
      Tensor bounded = limit == Double.POSITIVE_INFINITY ? x : x.clamp(-limit, limit);
      return shift == 0 ? bounded : bounded.add(shift);
    }
  }

  /** Gated SiLU without biases, as in most language models. */
  public static final ExpertForm SWIGLU = new ExpertForm(Activation.SILU, true, false);

  /** Gated GELU without biases (S18). */
  public static final ExpertForm GEGLU = new ExpertForm(Activation.GELU, true, false);

  /** ReLU MLP without biases (S01, S05, S06). */
  public static final ExpertForm RELU = new ExpertForm(Activation.RELU, false, false);

  /** GELU MLP without biases (S25). */
  public static final ExpertForm GELU = new ExpertForm(Activation.GELU, false, false);

  /**
   * The clamped SwiGLU of gpt-oss: {@code (clamp(u, -7, 7) + 1) * g sigmoid(1.702 g)} with {@code
   * g} no more than 7, and biases.
   */
  public static final ExpertForm GPT_OSS =
      new ExpertForm(Activation.QUICK_GELU, true, true, new Clamp(7, 1));

  /** A form without clamp. */
  public ExpertForm(Activation activation, boolean gated, boolean biases) {
    this(activation, gated, biases, Clamp.NONE);
  }

  /** Refuses a clamp on a form that has nothing to clamp. */
  public ExpertForm {
    if (!gated && !clamp.equals(Clamp.NONE)) {
      throw new MoeException("a clamp needs a gated expert form; leave one of them out");
    }
  }

  /** With or without biases. */
  public ExpertForm withBiases(boolean on) {
    return new ExpertForm(activation, gated, on, clamp);
  }

  /** With other bounds. */
  public ExpertForm withClamp(Clamp bounds) {
    return new ExpertForm(activation, gated, biases, bounds);
  }

  /**
   * The form called {@code swiglu}, {@code geglu}, {@code relu}, {@code gelu} or {@code gpt-oss}.
   *
   * @throws MoeException for another name
   */
  public static ExpertForm named(String name) {
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "swiglu" -> SWIGLU;
      case "geglu" -> GEGLU;
      case "relu" -> RELU;
      case "gelu" -> GELU;
      case "gpt-oss" -> GPT_OSS;
      default ->
          throw new MoeException(
              "unknown expert form \"" + name + "\"; use swiglu, geglu, relu, gelu or gpt-oss");
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
    Tensor gate = clamp.gate(projected.narrow(-1, 0, h));
    return activation.of(gate).mul(clamp.up(projected.narrow(-1, h, h)));
  }
}
