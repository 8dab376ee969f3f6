package org.moe4j.lab;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;
import org.moe4j.train.LearningRate;

/** The training of one small vision transformer. */
final class ImageTrial implements Trial {
  private static final int POOL = 24_576;
  private static final int HELD_OUT = 1536;
  private static final double PEAK = 3e-3;
  private static final double END = 1e-4;

  private final ImageSet images;
  private final ImageSet heldOut;
  private final Map<String, ImageArm.Probe> probes;
  private final VisionTransformer model;
  private final AdamW optimiser;
  private final LearningRate schedule;
  private final SplittableRandom order;
  private final RandomSource noise;
  private final TrialLog log = new TrialLog();
  private long step;

  /** The seed decides the start, the order of the images and the routers' noise. */
  ImageTrial(
      VisionConfig config, Bench bench, long seed, int steps, Map<String, ImageArm.Probe> probes) {
    this.probes = probes;
    images = bench.kept(ImageSet.class, "images", () -> ImageSet.drawn(POOL, 1));
    heldOut = bench.kept(ImageSet.class, "images held out", () -> ImageSet.drawn(HELD_OUT, 2));
    model =
        new VisionTransformer(config, new ParameterStore(new RandomSource(seed), bench.device()));
    optimiser = new AdamW(model.parameters().all(), new AdamW.Options(0.9, 0.99, 1e-8, 0.01));
    schedule = new LearningRate(PEAK, END, Math.max(1, steps / 10), steps);
    order = new SplittableRandom(seed);
    noise = new RandomSource(seed + 1);
  }

  @Override
  public double step() {
    long begin = System.nanoTime();
    int[] which = order.ints(ImageArm.IMAGES, 0, images.size()).toArray();
    int patch = model.config().patch();
    Device device = model.parameters().device();
    step++;
    try (Scope scope = Scope.open()) {
      VisionTransformer.Output out =
          model.forward(
              images.patches(which, patch).to(device),
              TokenContext.train(which.length, ImageSet.patches(patch), noise));
      Tensor loss = Ops.crossEntropy(out.scores(), images.labels(which).to(device));
      Tensor total = out.layers().stream().map(MoeOutput::balance).reduce(loss, Tensor::add);
      total.backward();
      optimiser.update(schedule.at(step), 1);
      model.parameters().all().forEach(p -> p.tensor().clearGrad());
      double value = loss.item();
      log.add(
          value,
          out.layers().stream().map(MoeOutput::stats).toList(),
          (System.nanoTime() - begin) * 1e-9);
      return value;
    }
  }

  @Override
  public Measurement finish() {
    TrainedImages trained = new TrainedImages(model, heldOut);
    TrainedImages.Score score = trained.score();
    Map<String, Double> values = new HashMap<>(log.values());
    values.put(ImageArm.LOSS.key(), score.loss());
    values.put(ImageArm.ERROR.key(), score.error());
    double imbalance =
        score.layers().stream().mapToDouble(RoutingStats::imbalance).average().orElse(1);
    values.put(Metric.IMBALANCE.key(), imbalance);
    values.put(Metric.VIOLATION.key(), imbalance - 1);
    probes.forEach((key, probe) -> values.put(key, probe.measure(trained)));
    return new Measurement(values, log.curves(), Optional.empty(), log.seconds());
  }

  @Override
  public void close() {
    optimiser.close();
    model.close();
  }
}
