package org.moe4j.lab.papers;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.BalanceTerm;
import org.moe4j.Capacity;
import org.moe4j.ExpertForm;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.ImageArm;
import org.moe4j.lab.VisionConfig;
import org.moe4j.models.FeedForwardConfig;

/** S28: slots that mix all patches against routing that chooses, on drawn images. */
final class SoftAgainstSparse {
  private static final int HIDDEN = 192;

  private SoftAgainstSparse() {}

  static Experiment experiment() {
    int experts = VisionConfig.tokens();
    MoeConfig.Builder layer =
        MoeConfig.builder(VisionConfig.WIDTH, HIDDEN, experts, 1)
            .form(ExpertForm.GELU.withBiases(true))
            .init(InitScheme.T5);
    return Experiment.of(
        "S28",
        "Experts whose slots are mixtures of all patches, and whose outputs every patch mixes again,"
            + " learn more than experts that patches choose, than experts that choose their patches,"
            + " and than a dense model of the same work.",
        "x",
        List.of(
            Arm.of(
                "soft",
                "16 experts with a slot each, as many as an image has patches",
                arm(layer.router("soft-moe", Map.of("slots", 1, "tokens", experts)).build())),
            Arm.of(
                "expert choice",
                "16 experts, each takes a sixteenth of the batch's patches",
                arm(layer.router("expert-choice").build())),
            Arm.of(
                "token choice",
                "16 experts, a patch chooses one",
                arm(
                    layer
                        .router("v-moe")
                        .build())),
            Arm.of(
                "dense",
                "MLPs of an expert's width",
                ImageArm.of(VisionConfig.dense(HIDDEN)))),
        List.of(
            Criterion.better("soft", "dense", ImageArm.LOSS, 0.05, 0.01),
            Criterion.better("soft", "token choice", ImageArm.LOSS, 0.03, 0.005),
            Criterion.better("soft", "expert choice", ImageArm.LOSS, 0.02, 0.005)),
        Set.of(Held.STEPS, Held.TOKENS));
  }

  private static ImageArm arm(MoeConfig moe) {
    return ImageArm.of(VisionConfig.lastHalf(HIDDEN, new FeedForwardConfig.Moe(moe)));
  }
}
