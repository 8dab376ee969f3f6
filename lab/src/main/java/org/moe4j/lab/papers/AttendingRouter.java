package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S43: attention among experts against a linear router. */
final class AttendingRouter {
  private AttendingRouter() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.experts=8", "moe.top-k=2", "moe.expert-ffn=128").narrow();
    return Experiment.of(
        "S43",
        "A router in which experts attend to each other for every token chooses better than one of"
            + " independent products: the loss is lower and, without any balance loss, so is the"
            + " largest load.",
        "The paper's test loss after 30 billion tokens is 2.109 with attention and 2.117"
            + " without, 0.4 percent less. Here the losses are the same to within the spread of the"
            + " seeds, 0.3 percent more after 2,100 steps, and the largest load is the larger one."
            + " At the start the products of small queries and keys are near 0, attention is even,"
            + " and all experts get the same score: its router learns to tell them apart later than"
            + " a linear one. Larger gates at the start made it worse.",
        List.of(
            Arm.of(
                "attention router",
                "8 experts, top-2 of attention among experts, no balance loss",
                layer.with("moe.router=yuan-attention")),
            Arm.of(
                "linear router",
                "the same with a product for each expert, no balance loss",
                layer.with("moe.router=softmax-top-k", "moe.losses.switch=0"))),
        List.of(
            Criterion.better("attention router", "linear router", Metric.LOSS, 0.004, 0.001),
            Criterion.better("attention router", "linear router", Metric.IMBALANCE, 0.3, 0.1)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}
