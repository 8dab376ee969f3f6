package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S55: a router with a state that tokens carry from layer to layer against a linear one. */
final class RecurrentRouter {
  private RecurrentRouter() {}

  static Experiment experiment() {
    LanguageArm deep =
        LanguageArm.of(
            "model.layers=4", "moe.top-k=2", "moe.losses.mixtral=0.01", "moe.init=deepseek");
    LanguageArm recurrent = deep.with("moe.router=rmoe", "moe.options.state-width=16");
    return Experiment.of(
        "S55",
        "A router with a recurrent state that each token carries from layer to layer chooses better"
            + " than linear routers that know nothing of each other, at equal work.",
        "The paper's 8 layers have 1.141 bits per character where plain routers have 1.152"
            + " and the same router without the passing of its state 1.150, after 21 hours on a"
            + " GPU: one percent at best. Here are 4 layers, which leaves the state three times to"
            + " be passed on, 8 experts, and minutes. In trials the recurrent router was 0.1"
            + " percent behind, within the spread of the seeds, and 2 percent behind where all"
            + " gates start small: logits are then a product of three small matrices, and stay"
            + " equal for long. So gates start larger here, in all arms.",
        List.of(
            Arm.of(
                "recurrent", "a state of width 16 through a GRU that all layers share", recurrent),
            Arm.of(
                "state not passed",
                "the same router, but in every layer the state begins empty",
                recurrent.with("moe.options.passing=none")),
            Arm.of(
                "linear",
                "a softmax of a linear map in each layer",
                deep.with("moe.router=softmax-top-k"))),
        List.of(Criterion.better("recurrent", "linear", Metric.LOSS, 0.007, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}
