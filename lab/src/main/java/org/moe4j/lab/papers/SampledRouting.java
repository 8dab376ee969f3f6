package org.moe4j.lab.papers;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.PiecewiseArm;

/** S57: experts that are drawn, with a gradient of the draw, against the gate of the best one. */
final class SampledRouting {
  private static final int SEEDS = 5;
  private static final int SECONDS = 15;
  private static final double BALANCE = 0.01;

  private SampledRouting() {}

  static Experiment experiment() {
    return Experiment.of(
            "S57",
            "A router that draws its expert in training, with SparseMixer-v2's estimate of the gradient"
                + " of that draw, learns a better choice than one that learns through the gate of the"
                + " best expert, at equal steps.",
            "The paper compares language models of 16 x 0.9 billion parameters: GShard's top-2 is ahead"
                + " for the first 0.5 trillion tokens and behind afterwards (MMLU). A minute of text is"
                + " all “first”: after 500 steps of it one seed was 4 percent behind in loss, another 2"
                + " ahead, so text is no test here. What is learned instead is a function whose pieces are known:"
                + " 16 centres with a linear map each, and 16 experts, one for a point, that can each"
                + " hold one. A drawn expert is weighted by its probability among those near the best,"
                + " which is nearly 1; the third arm has weights of 1 too, and no gradient, to tell the"
                + " estimate from that. Every seed is another function. Ten times the balance loss, for"
                + " all arms, gives the same verdict.",
            List.of(
                Arm.of(
                    "SparseMixer-v2",
                    "the expert is drawn in training, its gradient estimated; balance loss 0.01",
                    new PiecewiseArm("grin", Map.of(), BALANCE)),
                Arm.of(
                    "top-1",
                    "the best expert, weighted by its softmax gate, which carries the gradient; the"
                        + " same balance loss",
                    new PiecewiseArm("softmax-top-k", Map.of(), BALANCE)),
                Arm.of(
                    "top-1, weight 1",
                    "the same without a gate: the balance loss alone moves the router",
                    new PiecewiseArm(
                        "softmax-top-k", Map.of("renormalise", "before-drop"), BALANCE))),
            List.of(
                Criterion.better("SparseMixer-v2", "top-1", PiecewiseArm.UNEXPLAINED, 0.5, 0.1),
                Criterion.better(
                    "SparseMixer-v2", "top-1, weight 1", PiecewiseArm.UNEXPLAINED, 0.5, 0.1)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withSeeds(SEEDS)
        .withBudget(SECONDS);
  }
}
