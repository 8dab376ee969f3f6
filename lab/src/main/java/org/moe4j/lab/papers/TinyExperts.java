package org.moe4j.lab.papers;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Figure;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;
import org.moe4j.lab.Results;

/** S52: single neurons found by product keys against wide experts and dense layers. */
final class TinyExperts {
  private TinyExperts() {}

  static Experiment experiment() {
    LanguageArm gelu = LanguageArm.of("moe.activation=gelu").narrow();
    LanguageArm peer =
        gelu.with(
            "moe.router=peer",
            "moe.top-k=8",
            "moe.expert-ffn=1",
            "moe.options.heads=4",
            "moe.options.key-width=16",
            "moe.options.row-gradients=false");
    return Experiment.of(
            "S52",
            "Experts of a single neuron each, found by product keys, learn more from the same work"
                + " than a few wide experts and than a dense layer, and the more of them there are"
                + " the more they learn.",
            "The paper has a million neurons in one layer of twelve: perplexity 20.6 on C4 where"
                + " wide experts of the same work reach 21.4 and a dense model 23.8. Here are up to"
                + " 1024, 32 for a token, in a narrow model; two thirds of a layer's work are the"
                + " search for neurons. After 2,300 steps they are 1.1 percent ahead of both the wide"
                + " experts and the dense layer, hardly more than what counts; after 5,000 (--budget"
                + " 3m) 1.7 percent, and 1.3 percent of a quarter of them. In a model of twice the"
                + " width they were 1.7 percent ahead of the dense layer, and even with wide experts.",
            List.of(
                Arm.of(
                    "1024 neurons",
                    "4 heads find 8 neurons each for a token",
                    peer.with("moe.experts=1024")),
                Arm.of("256 neurons", "the same among fewer", peer.with("moe.experts=256")),
                Arm.of(
                    "wide experts",
                    "16 experts of width 88, one for a token, balance loss 0.01",
                    gelu.with("moe.router=switch", "moe.experts=16", "moe.expert-ffn=88")),
                Arm.of(
                    "dense",
                    "one network of width 96",
                    gelu.with("model.placement=none", "model.ffn=96"))),
            List.of(
                Criterion.better("1024 neurons", "dense", Metric.LOSS, 0.04, 0.01),
                Criterion.better("1024 neurons", "wide experts", Metric.LOSS, 0.02, 0.005),
                Criterion.better("1024 neurons", "256 neurons", Metric.LOSS, 0.015, 0.003)),
            Set.of(Held.STEPS, Held.TOKENS, Held.FLOPS))
        .withBudget(110)
        .showing(TinyExperts::figures);
  }

  private static List<Figure> figures(Results results) {
    return List.of(
        new Figure(
            "More neurons, the same work",
            Figure.Axis.log("neurons in a layer"),
            Figure.Axis.linear(Metric.LOSS.label()),
            List.of(
                Figure.Series.overArms(
                    "neurons",
                    results,
                    Metric.LOSS,
                    Map.of(256.0, "256 neurons", 1024.0, "1024 neurons")))));
  }
}
