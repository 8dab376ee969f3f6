package org.moe4j.train.config;

import java.util.Optional;

/** Section {@code [train]}. */
public record TrainSection(
    @Key(doc = "Updates of the parameters.", min = 1) int steps,
    @Key(doc = "Sequences in one forward pass.", unit = "sequences", min = 1, max = 1_048_576)
        int batchSize,
    @Key(doc = "Forward passes whose gradients make one update.", min = 1, max = 1_048_576)
        int accumulate,
    @Key(doc = "Learning rate after the warm-up.", above = 0) double learningRate,
    @Key(doc = "Learning rate at the end of the cosine; at most learning-rate.", min = 0)
        double minLearningRate,
    @Key(
            doc =
                "Steps over which the learning rate rises from zero, at most steps; a tenth of the"
                    + " steps where it is not set.",
            unit = "steps",
            min = 0)
        Optional<Integer> warmup,
    @Key(doc = "Weight decay of AdamW, on matrices only.", min = 0) double weightDecay,
    @Key(doc = "Decay of AdamW's mean of gradients.", min = 0, below = 1) double beta1,
    @Key(doc = "Decay of AdamW's mean of squared gradients.", min = 0, below = 1) double beta2,
    @Key(doc = "Added to AdamW's denominator.", above = 0) double eps,
    @Key(
            doc =
                "Largest norm of all gradients together; larger ones are scaled down; 0 turns it off.",
            min = 0)
        double clip,
    @Key(doc = "Precision of the matrix products; the router always computes in fp32.")
        Precision precision,
    @Key(
            doc = "Validate after so many steps, and at the end; 0: at the end only.",
            unit = "steps",
            min = 0)
        int validateEvery,
    @Key(
            doc = "Write a checkpoint after so many steps, and at the end; 0: at the end only.",
            unit = "steps",
            min = 0)
        int checkpointEvery,
    @Key(doc = "Print a sample after so many steps; 0: never.", unit = "steps", min = 0)
        int sampleEvery,
    @Key(doc = "Record metrics after so many steps.", unit = "steps", min = 1) int logEvery) {

  /** Refuses a schedule that contradicts itself. */
  public TrainSection {
    Check.that(
        minLearningRate <= learningRate,
        "train",
        "min-learning-rate = "
            + minLearningRate
            + " is above learning-rate = "
            + learningRate
            + "; lower it");
    Check.that(
        warmup.orElse(0) <= steps,
        "train",
        "warmup = " + warmup.orElse(0) + " is longer than steps = " + steps + "; shorten it");
  }

  /** Steps of warm-up: as set, or a tenth of all. */
  public int warmupSteps() {
    return warmup.orElse(steps / 10);
  }

  static TrainSection defaults() {
    return new TrainSection(
        640,
        8,
        1,
        2e-3,
        2e-4,
        Optional.empty(),
        0.1,
        0.9,
        0.95,
        1e-8,
        1,
        Precision.BF16,
        160,
        160,
        160,
        1);
  }
}
