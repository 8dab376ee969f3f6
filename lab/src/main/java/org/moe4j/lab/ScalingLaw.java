package org.moe4j.lab;

import org.moe4j.tensor.MoeException;

/**
 * The loss of a routed language model from its size and its number of experts (S17, section 4):
 * with logarithms to base 10
 *
 * <pre>
 * log L = a log N + b log Ê + c log N log Ê + d
 * 1 / Ê = 1 / (E - 1 + 1 / (1 / start - 1 / most)) + 1 / most
 * </pre>
 *
 * @param a slope in N
 * @param b slope in Ê
 * @param c their interaction: 0 where experts help small and large models alike
 * @param d level
 * @param start Ê of one expert
 * @param most Ê of endlessly many; infinity, with a start of 1, for Ê = E
 */
public record ScalingLaw(double a, double b, double c, double d, double start, double most) {
  /** Which terms a law has. */
  public enum Form {
    /** All. */
    UNIFIED(true, true),
    /** Ê = E. */
    UNSATURATED(false, true),
    /** c = 0. */
    SEPARABLE(true, false);

    private final boolean saturates;
    private final boolean interacts;

    Form(boolean saturates, boolean interacts) {
      this.saturates = saturates;
      this.interacts = interacts;
    }

    /** Whether start and most are free. */
    boolean saturates() {
      return saturates;
    }

    /** Whether c is free. */
    boolean interacts() {
      return interacts;
    }
  }

  /**
   * A trained model.
   *
   * @param parameters N: what a token meets, one expert of each layer
   * @param experts E; 1 if it is dense
   * @param loss in nats per token
   */
  public record Point(double parameters, double experts, double loss) {
    /** Refuses what has no logarithm. */
    public Point {
      checkModel(parameters, experts);
      if (!(loss > 0 && Double.isFinite(loss))) {
        throw new MoeException("scaling law: a loss of " + loss + "; give numbers above 0");
      }
    }
  }

  /** Refuses a start beyond the end. */
  public ScalingLaw {
    if (!(start > 0 && start < most)) {
      throw new MoeException(
          "scaling law: E_start "
              + start
              + " and E_max "
              + most
              + "; the first must be the smaller"
              + " and above 0");
    }
  }

  private static void checkModel(double parameters, double experts) {
    if (!(parameters > 0 && Double.isFinite(parameters)) || !(experts >= 1)) {
      throw new MoeException(
          "scaling law: "
              + parameters
              + " parameters and "
              + experts
              + " experts; give more than 0"
              + " and at least 1");
    }
  }

  /** Ê: rises from {@code start} at one expert to {@code most}. */
  static double effectiveExperts(double experts, double start, double most) {
    return 1 / (1 / (experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most);
  }

  /** L(N, E). */
  public double loss(double parameters, double experts) {
    checkModel(parameters, experts);
    double n = Math.log10(parameters);
    double e = Math.log10(effectiveExperts(experts, start, most));
    return Math.pow(10, a * n + b * e + c * n * e + d);
  }

  /** The size of the dense model that this law gives the same loss: L(result, 1) = L(N, E). */
  public double effectiveParameters(double parameters, double experts) {
    checkModel(parameters, experts);
    double one = Math.log10(start);
    double e = Math.log10(effectiveExperts(experts, start, most));
    double slope = a + c * one;
    return Math.pow(10, ((a + c * e) * Math.log10(parameters) + b * (e - one)) / slope);
  }
}
