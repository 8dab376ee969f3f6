package org.moe4j.lab.papers;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.ExpertForm;
import org.moe4j.Grouping;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.VMoeBalance;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.ImageArm;
import org.moe4j.lab.VisionConfig;
import org.moe4j.models.FeedForwardConfig;

/** S28: slots that mix all patches against routing that chooses, on drawn images. */
final class SoftAgainstSparse {
  private static final int HIDDEN = 16;
  private static final int EXPERTS = VisionConfig.tokens();

  private SoftAgainstSparse() {}

  static Experiment experiment() {
    return Experiment.of(
        "S28",
        "Experts whose slots are mixtures of all patches, and whose outputs every patch mixes again,"
            + " learn more than experts that patches choose and than a dense model of the same work.",
        "The paper compares models of width 384 to 1280 after millions of steps, where slots"
            + " have learned what to gather; a model of width 64 on drawn shapes has a few thousand"
            + " at most. MLPs are 16 wide, narrow enough for a dense model to be short of room."
            + " Slots start as mixtures that hardly differ: after 900 steps token choice is 19"
            + " percent ahead of them, and in a trial after 1,400 the dense model was 12. After"
            + " 4,000 (ten minutes) soft experts are ahead of it by 9 percent and of token choice"
            + " by 3 in the mean, but all name 98 percent of the shapes by then, and what is left"
            + " of the loss differs by more from seed to seed. With MLPs of width 192 soft and"
            + " dense were even (one seed). Patches and slots are not normalised for the logits,"
            + " which the paper advises from width 768 on.",
        List.of(
            Arm.of(
                "soft",
                "16 experts with a slot each, as many as an image has patches",
                arm(
                    layer(HIDDEN)
                        .router(
                            "soft-moe", Map.of("slots", 1, "tokens", EXPERTS, "normalise", false))
                        .build())),
            Arm.of(
                "token choice",
                "16 experts of twice the width, for the work of the slots' weights; a patch chooses"
                    + " one, balance loss 0.01, nothing is dropped",
                arm(
                    layer(2 * HIDDEN)
                        .router("v-moe")
                        .balance(new VMoeBalance(VMoeBalance.Signal.BOTH, Grouping.BATCH), 0.01)
                        .build())),
            Arm.of(
                "dense",
                "MLPs of width 28, for the same work",
                ImageArm.of(VisionConfig.dense(HIDDEN + 12)))),
        List.of(
            Criterion.better("soft", "dense", ImageArm.LOSS, 0.05, 0.01),
            Criterion.better("soft", "token choice", ImageArm.LOSS, 0.03, 0.005)),
        Set.of(Held.STEPS, Held.TOKENS, Held.FLOPS));
  }

  private static MoeConfig.Builder layer(int hidden) {
    return MoeConfig.builder(VisionConfig.WIDTH, hidden, EXPERTS, 1)
        .form(ExpertForm.GELU.withBiases(true))
        .init(InitScheme.T5);
  }

  private static ImageArm arm(MoeConfig moe) {
    return ImageArm.of(VisionConfig.lastHalf(HIDDEN, new FeedForwardConfig.Moe(moe)));
  }
}
