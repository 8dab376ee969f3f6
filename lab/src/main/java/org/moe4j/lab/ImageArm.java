package org.moe4j.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.moe4j.MoeConfig;

/**
 * A small vision transformer that learns to name drawn shapes and their textures, 48 labels.
 *
 * @param model its shape
 * @param probes further quantities of the trained model, by {@link Metric#key}
 */
public record ImageArm(VisionConfig model, Map<String, Probe> probes) implements Workload {
  /** Cross-entropy on held-out images. */
  public static final Metric LOSS =
      new Metric(
          "loss", "validation loss, nats per image", Metric.Better.LOWER, Metric.Scale.RATIO, 4);

  /** The share of held-out images that are named wrongly. */
  public static final Metric ERROR =
      new Metric(
          "error",
          "share of images that are named wrongly",
          Metric.Better.LOWER,
          Metric.Scale.RATIO,
          4);

  static final int IMAGES = 64;

  /** A quantity of a trained model. */
  @FunctionalInterface
  public interface Probe {
    /** Measures. */
    double measure(TrainedImages trained);
  }

  /** Copies the probes. */
  public ImageArm {
    probes = Map.copyOf(probes);
  }

  /** A model of this shape. */
  public static ImageArm of(VisionConfig model) {
    return new ImageArm(model, Map.of());
  }

  /** The same with one more quantity. */
  public ImageArm measuring(String key, Probe probe) {
    Map<String, Probe> more = new LinkedHashMap<>(probes);
    more.put(key, probe);
    return new ImageArm(model, more);
  }

  @Override
  public List<String> settings() {
    return model.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .distinct()
        .flatMap(ImageArm::settings)
        .toList();
  }

  private static Stream<String> settings(MoeConfig moe) {
    List<String> all = new ArrayList<>();
    all.add("router=" + moe.router());
    moe.routerOptions().forEach((key, value) -> all.add(key + "=" + value));
    all.add("experts=" + moe.experts());
    all.add("top-k=" + moe.topK());
    all.add("expert-ffn=" + moe.expertWidth());
    moe.balance().forEach(term -> all.add(term.loss().name() + "=" + term.coefficient()));
    return all.stream();
  }

  @Override
  public Cost cost(Bench bench) {
    return model.cost(IMAGES);
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    return new ImageTrial(model, bench, seed, steps, probes);
  }
}
