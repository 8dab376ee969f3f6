package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S06: a Switch model against a dense one, at equal steps and at equal time. */
final class SwitchAgainstDense {
  private SwitchAgainstDense() {}

  static Experiment experiment() {
    LanguageArm dense = LanguageArm.of("model.placement=none", "model.ffn=32").narrow();
    LanguageArm sparse =
        LanguageArm.of(
                "moe.router=switch",
                "moe.experts=16",
                "moe.expert-ffn=32",
                "moe.dispatcher=capacity")
            .narrow();
    LanguageArm experts = sparse.with("moe.capacity-factor=1.25");
    return Experiment.of(
        "S06",
        "One expert of many for each token learns more than a dense layer of the same work, in the"
            + " same number of steps and in the same time; a little room beyond the even share is"
            + " enough, and a router in fp32 is no worse than one in bf16.",
        "The paper trains T5 models with 128 experts for 100,000 steps: negative log"
            + " perplexity -1.553 against -1.731 of the dense one, -1.561 and -1.554 with capacity"
            + " factors 1 and 2; a router in bf16 diverges. Here are 16 experts of width 32, in a"
            + " model narrow enough for a dense layer of their width to be short of room within"
            + " minutes. An expert sees a sixteenth of the text. On two cores a sparse step of this"
            + " size takes half as long again as a dense one, for its small products, and early in"
            + " training that many more steps are worth more than experts are; equal time is the"
            + " harder test. After 950 steps the sparse model is 0.9 percent ahead at equal steps"
            + " and 2.4 behind at equal time; after 5,600 (--budget 10m) it is 1.1 percent ahead at"
            + " equal steps and not behind at equal time. A router this small does not diverge in"
            + " bf16 either.",
        List.of(
            Arm.of("switch", "16 experts, capacity factor 1.25, balance loss 0.01", experts),
            Arm.of("dense", "the same layers with one network of an expert's width", dense),
            Arm.of("dense, equal time", "the dense model, for as long as switch takes", dense)
                .inTheTimeOf("switch"),
            Arm.of("factor 1", "capacity factor 1", sparse.with("moe.capacity-factor=1")),
            Arm.of("factor 2", "capacity factor 2", sparse.with("moe.capacity-factor=2")),
            Arm.of(
                "bf16 router",
                "capacity factor 1.25, the router computes in bf16",
                experts.with("moe.options.dtype=bf16"))),
        List.of(
            Criterion.better("switch", "dense", Metric.LOSS, 0.03, 0.003),
            Criterion.notWorse("switch", "dense, equal time", Metric.LOSS, 0.01),
            Criterion.better("switch", "factor 1", Metric.DROPPED, 0.05, 0.02),
            Criterion.notWorse("switch", "factor 2", Metric.LOSS, 0.01),
            Criterion.notWorse("switch", "bf16 router", Metric.LOSS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}
