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
import org.moe4j.lab.LossUnder;
import org.moe4j.lab.Metric;
import org.moe4j.lab.Results;

/** S38: all experts in training and few in use, against few in both. */
final class DenseTraining {
  /** What two experts in place of all 16 add to the loss of the same weights. */
  private static final Metric ADDED =
      new Metric(
          "added",
          "validation loss added by computing 2 of 16 experts, nats per token",
          Metric.Better.LOWER,
          Metric.Scale.DIFFERENCE,
          4);

  private static final String DENSE = "dense training";
  private static final String PLAIN = "without the loss";
  private static final String SPARSE = "sparse training";

  private DenseTraining() {}

  private static LanguageArm servedWithFewer(LanguageArm arm) {
    LossUnder one = with(1, arm);
    LossUnder two = with(2, arm);
    LossUnder all = with(16, arm);
    return arm.measuring("loss_of_1", one)
        .measuring("loss_of_2", two)
        .measuring("loss_of_16", all)
        .measuring(
            ADDED.key(), (model, text) -> two.measure(model, text) - all.measure(model, text));
  }

  private static LossUnder with(int experts, LanguageArm arm) {
    return new LossUnder(arm.with("moe.top-k=" + experts));
  }

  private static List<Figure> sweep(Results results) {
    Map<Double, String> keys =
        Map.of(1.0, "loss_of_1", 2.0, "loss_of_2", 4.0, Metric.LOSS.key(), 16.0, "loss_of_16");
    return List.of(
        new Figure(
            "Validation loss by the number of experts in use, the same weights",
            Figure.Axis.log("experts of 16 that compute a token"),
            Figure.Axis.linear("nats per token"),
            List.of(
                Figure.Series.overValues(DENSE, results, DENSE, keys),
                Figure.Series.overValues(PLAIN, results, PLAIN, keys),
                Figure.Series.overValues(SPARSE, results, SPARSE, keys))));
  }

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.activation=gelu", "moe.experts=16", "moe.top-k=4", "moe.expert-ffn=32")
            .narrow();
    LanguageArm all = layer.with("moe.router=ds-moe", "moe.options.gate=linear");
    return Experiment.of(
            "S38",
            "A model whose experts all compute every token in training can be run with few of them"
                + " at hardly any loss, because a mutual-information loss has made its weights"
                + " peaked; then it is about as good as one of the same parameters that was trained"
                + " with few.",
            "The paper's 1-billion model has perplexity 20.4, 21.1 where the same parameters are"
                + " trained sparsely. Its weight of the loss is 0.0006 over 60,000 steps; a few hundred"
                + " need more, here 0.01. The router is the linear one of the released code, and FLOPs"
                + " are those of use: training costs as much as a dense layer of width 512. About as"
                + " good means within 1.5 percent.",
            List.of(
                Arm.of(
                    DENSE,
                    "all 16 experts of width 32 in training, the 4 best in use,"
                        + " mutual-information loss",
                    servedWithFewer(all.with("moe.losses.mutual-information=0.01"))),
                Arm.of(
                    PLAIN,
                    "all experts in training, the 4 best in use, no loss on the weights",
                    servedWithFewer(all.with("moe.losses.mutual-information=0"))),
                Arm.of(
                    SPARSE,
                    "the same experts, the 4 best in training and in use, balance loss 0.01",
                    servedWithFewer(
                        layer.with("moe.router=softmax-top-k", "moe.losses.switch=0.01")))),
            List.of(
                Criterion.better(DENSE, PLAIN, ADDED, 0.02, 0.005),
                Criterion.notWorse(DENSE, SPARSE, Metric.LOSS, 0.015)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .showing(DenseTraining::sweep);
  }
}
