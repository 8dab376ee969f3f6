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
            "model.layers=4", "train.batch-size=8", "moe.top-k=2", "moe.losses.mixtral=0.01");
    LanguageArm recurrent = deep.with("moe.router=rmoe", "moe.options.state-width=16");
    return Experiment.of(
        "S55",
        "claim",
        "scale",
        List.of(
            Arm.of("recurrent", "a state of width 16 through a GRU that all layers share", recurrent),
            Arm.of("state not passed", "the same router, but every layer begins with an empty state", recurrent.with("moe.options.passing=none")),
            Arm.of("linear", "softmax of a linear map", deep.with("moe.router=softmax-top-k"))),
        List.of(
            Criterion.better("recurrent", "linear", Metric.LOSS, 0.005, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}
