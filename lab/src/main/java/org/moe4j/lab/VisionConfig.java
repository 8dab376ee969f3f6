package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.Validity;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.DType;

/**
 * The shape of a {@link VisionTransformer}.
 *
 * @param width d of a token
 * @param heads of the attention
 * @param patch side of a patch in pixels
 * @param labels classes
 * @param feedForward the feed-forward half of each block
 */
public record VisionConfig(
    int width, int heads, int patch, int labels, List<FeedForwardConfig> feedForward) {
  /** Width of the standard model. */
  public static final int WIDTH = 64;

  private static final int HEADS = 4;
  private static final int PATCH = 8;
  private static final int LAYERS = 4;

  /** Copies the blocks, and refuses layers that an encoder cannot have. */
  public VisionConfig {
    feedForward = List.copyOf(feedForward);
    feedForward.stream()
        .flatMap(f -> f.sparse().stream())
        .distinct()
        .forEach(moe -> Validity.check(moe, Validity.Use.ENCODER, false));
  }

  /** Tokens of an image of the standard model. */
  public static int tokens() {
    return ImageSet.patches(PATCH);
  }

  /** Four blocks, all dense: an MLP with GELU of this hidden width. */
  public static VisionConfig dense(int hidden) {
    FeedForwardConfig each = mlp(hidden);
    return standard(Collections.nCopies(LAYERS, each));
  }

  /** Four blocks, the last two with {@code layer}: the placement of S28. */
  public static VisionConfig lastHalf(int hidden, FeedForwardConfig layer) {
    List<FeedForwardConfig> blocks = new ArrayList<>(Collections.nCopies(LAYERS, mlp(hidden)));
    for (int i = LAYERS / 2; i < LAYERS; i++) {
      blocks.set(i, layer);
    }
    return standard(blocks);
  }

  /** Four blocks, the second and the fourth with {@code moe}: "every-2" of S12. */
  public static VisionConfig everyOther(int hidden, MoeConfig moe) {
    return standard(FeedForwardConfig.everyOther(LAYERS, mlp(hidden), moe));
  }

  private static VisionConfig standard(List<FeedForwardConfig> blocks) {
    return new VisionConfig(WIDTH, HEADS, PATCH, ShapeDrawing.LABELS, blocks);
  }

  /** A dense MLP with GELU and biases. */
  public static FeedForwardConfig mlp(int hidden) {
    return new FeedForwardConfig.Dense(ExpertForm.GELU.withBiases(true), hidden);
  }

  /** What it costs in steps of {@code images}. */
  Cost cost(int images) {
    long d = width;
    long n = ImageSet.patches(patch);
    long input = 3L * patch * patch;
    // Projections, scores and their mixture of values; the head is shared by an image's tokens.
    long flops = feedForward.size() * (8 * d * d + 4 * d * n) + 2 * input * d + 2 * d * labels / n;
    long idle = 0;
    for (FeedForwardConfig f : feedForward) {
      switch (f) {
        case FeedForwardConfig.Moe m -> {
          flops += m.moe().flopsPerToken();
          idle += m.moe().parameters() - m.moe().activeParameters();
        }
        case FeedForwardConfig.Dense m -> flops += 2L * m.form().matrices() * d * m.width();
      }
    }
    try (VisionTransformer shape = new VisionTransformer(this, ParameterStore.shapes(DType.F32))) {
      long all = shape.parameters().count(p -> true);
      return new Cost(all, all - idle, flops, images * n);
    }
  }
}
