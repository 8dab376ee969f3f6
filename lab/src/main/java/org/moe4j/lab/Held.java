package org.moe4j.lab;

/** A quantity that the arms of an experiment have in common, to within {@link #TOLERANCE}. */
public enum Held {
  /** Updates. */
  STEPS("steps"),
  /** Tokens of training text. */
  TOKENS("tokens"),
  /** All weights. */
  PARAMETERS("parameters"),
  /** Weights that a token meets. */
  ACTIVE_PARAMETERS("active parameters"),
  /** Operations of a token's forward pass. */
  FLOPS("FLOPs per token");

  /** How far two arms may be apart: a router's weights are part of them. */
  public static final double TOLERANCE = 0.03;

  private final String label;

  Held(String label) {
    this.label = label;
  }

  private double of(ArmResult arm) {
    return switch (this) {
      case STEPS -> arm.steps();
      case TOKENS -> (double) arm.steps() * arm.cost().tokensPerStep();
      case PARAMETERS -> arm.cost().parameters();
      case ACTIVE_PARAMETERS -> arm.cost().active();
      case FLOPS -> arm.cost().flops();
    };
  }

  /** In words. */
  public String label() {
    return label;
  }

  /** Whether it is the amount of work, which arms of equal time do not share. */
  boolean isWork() {
    return this == STEPS || this == TOKENS;
  }

  /** How far the two arms are apart, relative to the larger. */
  public double apart(ArmResult a, ArmResult b) {
    double x = of(a);
    double y = of(b);
    return Math.abs(x - y) / Math.max(x, y);
  }
}
