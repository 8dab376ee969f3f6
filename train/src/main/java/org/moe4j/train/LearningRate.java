package org.moe4j.train;

import org.moe4j.train.config.TrainSection;

/**
 * Linear warm-up, then half a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts).
 *
 * @param peak reached with the last step of the warm-up
 * @param end reached with the last step
 * @param warmup steps of rising
 * @param steps all steps
 */
public record LearningRate(double peak, double end, int warmup, int steps) {
  /** The schedule of a configuration. */
  public static LearningRate of(TrainSection train) {
    return new LearningRate(
        train.learningRate(), train.minLearningRate(), train.warmupSteps(), train.steps());
  }

  /** The rate of a step, counted from 1. */
  public double at(long step) {
    if (step < warmup) {
      return peak * step / warmup;
    }
    double done = steps == warmup ? 1 : (double) (step - warmup) / (steps - warmup);
    return end + (peak - end) * 0.5 * (1 + Math.cos(Math.PI * Math.clamp(done, 0, 1)));
  }
}
