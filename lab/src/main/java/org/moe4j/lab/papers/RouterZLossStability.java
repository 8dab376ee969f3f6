package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;
import org.moe4j.train.StepResult;

/** S18: the router z-loss at a learning rate that is too high. */
final class RouterZLossStability {
  private static final Metric LOGITS =
      new Metric(
          "mean squared logsumexp of the logits",
          "squared logsumexp of the router's logits at the end",
          Metric.Better.LOWER,
          Metric.Scale.RATIO,
          2);

  /** Small enough to change nothing, so that the loss is only measured. */
  private static final double MEASURED_ONLY = 1e-9;

  private RouterZLossStability() {}

  static Experiment experiment() {
    return Experiment.of(
            "S18",
            "A loss on the squared logsumexp of the router's logits keeps them small and training"
                + " stable, and does not cost any of the model's quality.",
            "The paper trains T5 models of billions of weights: 4 of 6 runs are stable without"
                + " the loss and 3 of 3 with it, at a slightly better log perplexity (-1.741 against"
                + " -1.755). A model this small survives nearly everything, even three times the usual"
                + " learning rate without clipping of gradients: runs without the loss have a logsumexp"
                + " three times as large, ten times when squared, but they do not diverge. So what is"
                + " judged is the size of the logits and the loss, not the number of diverged runs. The"
                + " z-loss costs 0.3 percent of the validation loss after 2,400 steps.",
            List.of(
                arm("z-loss", "router z-loss of weight 0.001", 1e-3),
                arm("none", "the same without; the z-loss is measured, not felt", MEASURED_ONLY)),
            List.of(
                Criterion.better("z-loss", "none", LOGITS, Math.log(10), Math.log(4)),
                Criterion.notWorse("z-loss", "none", Metric.LOSS, 0.01)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withBudget(80);
  }

  private static Arm arm(String name, String what, double weight) {
    LanguageArm layer =
        LanguageArm.of(
            "moe.router=st-moe",
            "moe.experts=16",
            "moe.expert-ffn=64",
            "moe.activation=geglu",
            "moe.balance-loss=0.01",
            "moe.z-loss=" + weight,
            "train.learning-rate=0.012",
            "train.min-learning-rate=0.0012",
            "train.clip=0");
    return Arm.of(
        name,
        what,
        layer
            .watching(LOGITS.key(), step -> squaredLogSumExp(step, weight))
            .watching("norm of the gradient", StepResult::gradientNorm));
  }

  private static double squaredLogSumExp(StepResult step, double weight) {
    return step.balance().getOrDefault("z-loss", Double.NaN) / weight / step.routing().size();
  }
}
