package org.moe4j.lab.papers;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.ArmResult;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Figure;
import org.moe4j.lab.Held;
import org.moe4j.lab.Metric;
import org.moe4j.lab.MultiTaskArm;
import org.moe4j.lab.Results;

/** S11: a selection of experts that has a gradient against top-k, on tasks in clusters. */
final class SmoothSelection {
  private static final Metric ERROR =
      metric(
          "mse", "test error over the targets' variance", Metric.Better.LOWER, Metric.Scale.RATIO);
  private static final Metric JUMP =
      metric(
          "jump",
          "largest change of a gate's weight in a step",
          Metric.Better.LOWER,
          Metric.Scale.RATIO);
  private static final Metric AGREEMENT =
      metric(
          "agreement",
          "overlap of the experts of tasks of one cluster, less that of others",
          Metric.Better.HIGHER,
          Metric.Scale.DIFFERENCE);
  private static final Metric EXPERTS =
      metric(
          "experts", "experts of a task at the end", Metric.Better.LOWER, Metric.Scale.DIFFERENCE);

  private SmoothSelection() {}

  private static Metric metric(String key, String label, Metric.Better better, Metric.Scale scale) {
    return new Metric(key, label, better, scale, 3);
  }

  static Experiment experiment() {
    MultiTaskArm selectors =
        MultiTaskArm.of("dselect-k", 2).with("gate", "static").with("tasks", "16");
    return Experiment.of(
            "S11",
            "Products of smooth steps select at most k experts with a gradient for every expert:"
                + " tasks find the experts that suit them, the error is lower than with top-k gates,"
                + " and no gate jumps.",
            "The paper reports 22 percent better predictions on a recommender system, and gains on"
                + " synthetic regressions of up to 128 tasks. Here are 16 tasks in four clusters; the"
                + " tasks of a cluster mix the same two hidden functions, and there are eight experts."
                + " Tasks without noise and gates that see nothing but the task's number let a wrong"
                + " selection cost more than in the paper. “dense” mixes all experts for"
                + " every task: what a selection would reach that costs nothing. It shows within 1,500 steps;"
                + " after 4,000 most gates have solved all tasks, and errors near zero differ by chance.",
            List.of(
                Arm.of(
                    "dselect-k",
                    "2 selectors for each task, entropy loss 0.001",
                    selectors.with("entropy", "1e-3")),
                Arm.of(
                    "top-k",
                    "the 2 largest of a task's softmax",
                    MultiTaskArm.of("softmax-top-k", 2)),
                Arm.of(
                    "noisy top-k",
                    "the same under learned noise",
                    MultiTaskArm.of("noisy-top-k", 2)),
                Arm.of("dense", "a softmax over all 8", MultiTaskArm.of("softmax-top-k", 8))),
            List.of(
                Criterion.better("dselect-k", "top-k", ERROR, 0.2, 0.05),
                Criterion.better("dselect-k", "top-k", AGREEMENT, 0.3, 0.1),
                Criterion.better("dselect-k", "top-k", JUMP, Math.log(3), Math.log(1.5)),
                Criterion.notWorse("dselect-k", "top-k", EXPERTS, 0.1)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.FLOPS))
        .withSeeds(5)
        .withBudget(20)
        .showing(SmoothSelection::figures);
  }

  private static List<Figure> figures(Results results) {
    List<Figure> figures = new ArrayList<>();
    List<String> names = results.arms().stream().map(ArmResult::name).toList();
    List<Figure.Point> errors = new ArrayList<>();
    List<Figure.Point> agreements = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      errors.add(Figure.Point.of(i, results.values(names.get(i), ERROR.key())));
      agreements.add(Figure.Point.of(i, results.values(names.get(i), AGREEMENT.key())));
    }
    Figure.Axis arms = Figure.Axis.named("gate", names);
    figures.add(bars("Test error and its spread over seeds", arms, ERROR, errors));
    figures.add(bars("Do tasks of a cluster share experts?", arms, AGREEMENT, agreements));
    return figures;
  }

  private static Figure bars(
      String title, Figure.Axis arms, Metric metric, List<Figure.Point> points) {
    return new Figure(
        title,
        arms,
        Figure.Axis.linear(metric.label()),
        List.of(new Figure.Series(metric.label(), Figure.Style.BARS, points)));
  }
}
