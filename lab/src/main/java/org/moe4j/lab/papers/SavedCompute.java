package org.moe4j.lab.papers;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.moe4j.lab.Arm;
import org.moe4j.lab.ArmResult;
import org.moe4j.lab.ComputeSaving;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Figure;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;
import org.moe4j.lab.Results;
import org.moe4j.lab.Statistics;

/** S16: how much more compute dense models need for the loss of sparse ones. */
final class SavedCompute {
  private static final Metric SAVING =
      new Metric(
          "saving",
          "compute-savings factor: FLOPs of the dense curve at this loss over own FLOPs",
          Metric.Better.HIGHER,
          Metric.Scale.RATIO,
          2);

  private static final List<String> DENSE =
      List.of("dense 32", "dense 64", "dense 128", "dense 256", "dense 512");
  private static final List<String> SPARSE = List.of("moe 16", "moe 32");

  private SavedCompute() {}

  static Experiment experiment() {
    List<Arm> arms = new ArrayList<>();
    for (String name : SPARSE) {
      arms.add(
          Arm.of(
              name,
              "16 experts of this width, two for a token",
              width(name)
                  .with(
                      "moe.router=gshard-top-2",
                      "moe.experts=16",
                      "moe.options.second-expert=all",
                      "moe.renormalise=after-drop",
                      "moe.losses.fairseq=0.01",
                      "moe.dispatcher=capacity",
                      "moe.capacity-policy=fairseq")));
    }
    for (String name : DENSE) {
      arms.add(
          Arm.of(name, "a dense layer of this width", width(name).with("model.placement=none")));
    }
    return Experiment.of(
            "S16",
            "Sparse models reach a loss with a fraction of the compute that dense models need for"
                + " it.",
            "The paper needs about four times less compute with 512 experts after 300 billion"
                + " tokens. Here are 16 experts and half a million tokens. Models differ in the width"
                + " of the feed-forward layer alone; attention, the router and the output over 512"
                + " tokens are in the FLOPs of all, and the work that experts can save is half of a"
                + " model's at most. In the first hundreds of steps, while each expert has seen little,"
                + " there is no saving at all. A sparse model that is better than all dense ones saves"
                + " at least what the largest of them costs, and is counted so.",
            arms,
            List.of(Criterion.better("moe 32", "dense 64", SAVING, Math.log(1.8), Math.log(1.3))),
            Set.of(Held.STEPS, Held.TOKENS))
        .deriving(SavedCompute::savings)
        .showing(SavedCompute::figures);
  }

  private static LanguageArm width(String name) {
    int width = Integer.parseInt(name.substring(name.indexOf(' ') + 1));
    return LanguageArm.of("data.vocab-size=512", "model.ffn=" + width, "moe.expert-ffn=" + width);
  }

  /** Each model's saving against the dense models of its seed. */
  private static Results savings(Results results) {
    Results more = results;
    for (ArmResult arm : results.arms()) {
      List<Double> factors = new ArrayList<>();
      for (int i = 0; i < results.seeds().size(); i++) {
        int number = i;
        ComputeSaving dense =
            new ComputeSaving(DENSE.stream().map(results::arm).map(m -> model(m, number)).toList());
        factors.add(dense.factor(model(arm, number)).orElse(Double.NaN));
      }
      more = more.with(arm.name(), SAVING.key(), factors);
    }
    return more;
  }

  private static ComputeSaving.Model model(ArmResult arm, int number) {
    return new ComputeSaving.Model(
        arm.cost().flops(), arm.runs().get(number).values().get(Metric.LOSS.key()));
  }

  private static List<Figure> figures(Results results) {
    Figure.Axis flops = Figure.Axis.log("FLOPs of a token's forward pass");
    return List.of(
        new Figure(
            "Loss against compute",
            flops,
            Figure.Axis.linear(Metric.LOSS.label()),
            List.of(
                Figure.Series.overArms("moe", results, Metric.LOSS, byFlops(results, SPARSE)),
                Figure.Series.overArms("dense", results, Metric.LOSS, byFlops(results, DENSE)))),
        new Figure(
            "Compute-savings factor",
            Figure.Axis.linear(Metric.LOSS.label()),
            Figure.Axis.linear("savings factor"),
            List.of(
                Figure.Series.overArms("moe", results, SAVING, byLoss(results, SPARSE)),
                Figure.Series.overArms("dense", results, SAVING, byLoss(results, DENSE)))));
  }

  private static Map<Double, String> byFlops(Results results, List<String> arms) {
    Map<Double, String> at = new TreeMap<>();
    arms.forEach(arm -> at.put((double) results.arm(arm).cost().flops(), arm));
    return at;
  }

  private static Map<Double, String> byLoss(Results results, List<String> arms) {
    Map<Double, String> at = new TreeMap<>();
    arms.forEach(arm -> at.put(Statistics.mean(results.values(arm, Metric.LOSS.key())), arm));
    return at;
  }
}
