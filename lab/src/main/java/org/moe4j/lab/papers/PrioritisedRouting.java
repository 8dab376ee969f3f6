package org.moe4j.lab.papers;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.DropOrder;
import org.moe4j.ExpertForm;
import org.moe4j.Grouping;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.TokenChoice;
import org.moe4j.VMoeBalance;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Figure;
import org.moe4j.lab.Held;
import org.moe4j.lab.ImageArm;
import org.moe4j.lab.Metric;
import org.moe4j.lab.Results;
import org.moe4j.lab.TrainedImages;
import org.moe4j.lab.VisionConfig;

/** S12: who finds room in small buffers, the most confident patches or the first ones. */
final class PrioritisedRouting {
  private static final int HIDDEN = 128;
  private static final List<Double> RATIOS = List.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0);

  /** A twentieth more room than the even share while it learns; the rooms of use come later. */
  private static final Capacity TRAINING =
      new Capacity(
          new CapacityRule.Factor(1.05, true, CapacityRule.Rounding.HALF_EVEN),
          CapacityRule.UNLIMITED,
          Grouping.BATCH,
          DropOrder.CHOICE,
          false);

  private static final Metric LOST =
      new Metric(
          "lost",
          "images named wrongly for want of room, mean over C from 0.1 to 0.5",
          Metric.Better.LOWER,
          Metric.Scale.DIFFERENCE,
          3);

  private static final Metric FULL =
      new Metric(
          key(1.0),
          "share of images named wrongly at C = 1",
          Metric.Better.LOWER,
          Metric.Scale.DIFFERENCE,
          3);

  private PrioritisedRouting() {}

  static Experiment experiment() {
    return Experiment.of(
            "S12",
            "Where buffers have room for a part of the patches alone, serving those first that the"
                + " router is surest of keeps most of the accuracy; serving them as they come loses"
                + " it.",
            "The paper's models have 32 experts and 196 and more patches an image; with half of the"
                + " room, and so the work of a dense model, V-MoE-H/14 is still better than it."
                + " Here are 8 experts, two for a patch, and 16 patches an image. Both arms train"
                + " the same model, in buffers of 1.05 times the even share; they differ in who is"
                + " served first when it is used with less room. As they come, the patches of"
                + " the last images of a batch find no expert at all. Images named wrongly should grow"
                + " by half as much or less in the order of confidence.",
            List.of(
                Arm.of(
                    "by confidence",
                    "patches in the order of their best gate (batch prioritised routing)",
                    arm(DropOrder.PRIORITY)),
                Arm.of("as they come", "patches in the order of the batch", arm(DropOrder.CHOICE))),
            List.of(
                Criterion.better("by confidence", "as they come", LOST, 0.03, 0.01),
                Criterion.notWorse("by confidence", "as they come", FULL, 0.01)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .showing(PrioritisedRouting::figures);
  }

  private static ImageArm arm(DropOrder order) {
    MoeConfig moe =
        MoeConfig.builder(VisionConfig.WIDTH, HIDDEN, 8, 2)
            .router("v-moe")
            .form(ExpertForm.GELU.withBiases(true))
            .init(InitScheme.T5)
            .capacity(TRAINING)
            .balance(new VMoeBalance(VMoeBalance.Signal.BOTH, Grouping.BATCH), 0.01)
            .build();
    ImageArm arm =
        ImageArm.of(VisionConfig.everyOther(HIDDEN, moe))
            .measuring(LOST.key(), t -> lost(t, order));
    for (double ratio : RATIOS) {
      arm = arm.measuring(key(ratio), t -> error(t, ratio, order));
    }
    return arm;
  }

  private static String key(double ratio) {
    return "error at C = " + ratio;
  }

  /** With buffers of {@code ratio} times the even share. */
  private static double error(TrainedImages trained, double ratio, DropOrder order) {
    Capacity room = Capacity.vmoePaper(ratio, Grouping.BATCH, order);
    return trained
        .withRouters(
            router -> (x, context) -> room.apply((TokenChoice) router.route(x, context), context))
        .score()
        .error();
  }

  /** What small buffers add to the error without any limit. */
  private static double lost(TrainedImages trained, DropOrder order) {
    double tight =
        RATIOS.stream()
            .filter(ratio -> ratio <= 0.5)
            .mapToDouble(ratio -> error(trained, ratio, order))
            .average()
            .orElseThrow();
    return tight - trained.score().error();
  }

  private static List<Figure> figures(Results results) {
    Map<Double, String> keys = new HashMap<>();
    RATIOS.forEach(c -> keys.put(c, key(c)));
    return List.of(
        new Figure(
            "Room for fewer patches, the same trained model",
            Figure.Axis.linear("capacity ratio C"),
            Figure.Axis.linear("share of images named wrongly"),
            List.of(
                Figure.Series.overValues("by confidence", results, "by confidence", keys),
                Figure.Series.overValues("as they come", results, "as they come", keys))));
  }
}
