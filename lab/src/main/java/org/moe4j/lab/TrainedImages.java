package org.moe4j.lab;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.moe4j.MoeOutput;
import org.moe4j.Router;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** A vision transformer with the images that it has not seen. */
public final class TrainedImages {
  private final VisionTransformer model;
  private final ImageSet images;

  TrainedImages(VisionTransformer model, ImageSet images) {
    this.model = model;
    this.images = images;
  }

  /**
   * How it does.
   *
   * @param loss cross-entropy in nats per image
   * @param error the share of images named wrongly
   * @param layers what the sparse layers did
   */
  public record Score(double loss, double error, List<RoutingStats> layers) {
    /** Copies the layers. */
    public Score {
      layers = List.copyOf(layers);
    }
  }

  /** The same with the router of each sparse layer wrapped. */
  public TrainedImages withRouters(UnaryOperator<Router> wrapper) {
    return new TrainedImages(model.withRouters(wrapper), images);
  }

  /** On all images, in batches as large as those of the training. */
  public Score score() {
    double loss = 0;
    long wrong = 0;
    List<RoutingStats> layers = new ArrayList<>();
    int batches = images.size() / ImageArm.IMAGES;
    for (int i = 0; i < batches; i++) {
      int from = i * ImageArm.IMAGES;
      int[] which = IntStream.range(from, from + ImageArm.IMAGES).toArray();
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        int patch = model.config().patch();
        VisionTransformer.Output out =
            model.forward(
                images.patches(which, patch).to(model.parameters().device()),
                TokenContext.eval(which.length, ImageSet.patches(patch)));
        Tensor labels = images.labels(which).to(model.parameters().device());
        loss += Ops.crossEntropy(out.scores(), labels).item();
        long[] named = out.scores().argmax(1, false).toLongs();
        wrong +=
            IntStream.range(0, named.length)
                .filter(j -> named[j] != images.labels()[which[j]])
                .count();
        add(layers, out.layers());
      }
    }
    return new Score(loss / batches, (double) wrong / (batches * ImageArm.IMAGES), layers);
  }

  private static void add(List<RoutingStats> sums, List<MoeOutput> layers) {
    for (int l = 0; l < layers.size(); l++) {
      RoutingStats stats = layers.get(l).stats();
      if (l == sums.size()) {
        sums.add(stats);
      } else {
        sums.set(l, sums.get(l).plus(stats));
      }
    }
  }
}
