package org.moe4j.lab;

/**
 * A quantity that arms are compared by.
 *
 * @param key its name in results
 * @param label in words
 * @param better which way is better
 * @param scale how two values are compared
 * @param decimals that are worth showing
 */
public record Metric(String key, String label, Better better, Scale scale, int decimals) {
  /** Cross-entropy on held-out text in nats per token. */
  public static final Metric LOSS =
      new Metric("loss", "validation loss, nats per token", Better.LOWER, Scale.RATIO, 4);

  /** Cross-entropy of the last tenth of the training steps in nats per token. */
  public static final Metric TRAINING_LOSS =
      new Metric(
          "training_loss",
          "training loss at the end, nats per token",
          Better.LOWER,
          Scale.RATIO,
          4);

  /** The largest load of an expert over the mean one on held-out text, mean over layers. */
  public static final Metric IMBALANCE =
      new Metric("imbalance", "largest load over mean load", Better.LOWER, Scale.RATIO, 2);

  /** How far that load is above the mean, relative to it: S56's MaxVio over a whole text. */
  public static final Metric VIOLATION =
      new Metric("violation", "MaxVio, global", Better.LOWER, Scale.DIFFERENCE, 3);

  /** The share of choices in the last tenth of the training steps that found no room. */
  public static final Metric DROPPED =
      new Metric("dropped", "dropped choices at the end", Better.LOWER, Scale.DIFFERENCE, 3);

  /** Floating-point operations of a token's forward pass. */
  public static final Metric FLOPS =
      new Metric("flops", "FLOPs per token", Better.LOWER, Scale.RATIO, 0);

  /** Milliseconds of a training step, forward, backward and update, median over the run. */
  public static final Metric STEP_TIME =
      new Metric("step_time", "milliseconds per step", Better.LOWER, Scale.RATIO, 1);

  /** Which values are better. */
  public enum Better {
    LOWER,
    HIGHER
  }

  /** How values are compared. */
  public enum Scale {
    /** By the logarithm of their ratio, so that an effect of 0.02 is two percent. */
    RATIO,
    /** By their difference; for what may be 0. */
    DIFFERENCE
  }

  /** By how much {@code system} is better than {@code baseline}; negative if it is worse. */
  public double effect(double system, double baseline) {
    double gain =
        switch (scale) {
          case RATIO -> Math.log(baseline) - Math.log(system);
          case DIFFERENCE -> baseline - system;
        };
    return better == Better.LOWER ? gain : -gain;
  }
}
