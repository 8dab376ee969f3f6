package org.moe4j.train.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.WordNetSource;
import org.moe4j.train.metrics.MetricsWriter;
import org.moe4j.train.report.LayerRouting.TypicalToken;
import tools.jackson.databind.json.JsonMapper;

/** The folder of a run that never happened, with numbers such as a real one has. */
final class SampleRun {
  static final List<String> DOMAINS = WordNetSource.DOMAINS;

  private final Path folder;
  private final int steps;
  private final int layers;
  private final int experts;
  private final SplittableRandom random = new SplittableRandom(7);

  SampleRun(Path folder, int steps, int layers, int experts) {
    this.folder = folder;
    this.steps = steps;
    this.layers = layers;
    this.experts = experts;
  }

  void all() throws IOException {
    Files.createDirectories(folder);
    config();
    metrics(steps);
    summary(
        List.of(
            Map.of("prompt", "a large bird that", "text", " lives in the water and feeds on fish"),
            Map.of("prompt", "to move quickly", "text", " and with force; \"run\""),
            Map.of("prompt", "relating to the study of", "text", " the blood or the heart <i>")));
    routing().write(folder.resolve("routing.json"));
  }

  void config() throws IOException {
    Files.writeString(
        folder.resolve("config.toml"),
        TrainingConfig.defaults().with(List.of("train.steps=" + steps)).toToml());
  }

  void metrics(int upTo) {
    try (MetricsWriter out = MetricsWriter.open(folder.resolve("metrics.jsonl"), -1)) {
      for (int step = 1; step <= upTo; step++) {
        out.write(step, line(step));
      }
    }
  }

  private Map<String, Object> line(int step) {
    double done = (double) step / steps;
    double warm = Math.min(1, step / (0.1 * steps));
    double loss = 3.4 + 4.9 * Math.exp(-9 * done) + noise(0.12);
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("loss", loss);
    line.put("balance", Map.of("load", 0.01 * (1.05 + 0.6 * Math.exp(-12 * done) + noise(0.01))));
    line.put("lr", 2e-3 * warm * (0.1 + 0.9 * (0.5 + 0.5 * Math.cos(Math.PI * done))));
    line.put("grad_norm", 0.6 + 2.2 * Math.exp(-14 * done) + Math.abs(noise(0.15)));
    line.put("tokens_per_s", 5400 + noise(180));
    if (step % Math.max(1, steps / 6) == 0) {
      line.put("val_loss", 3.52 + 4.9 * Math.exp(-9 * done));
      line.put("val_bpb", 1.93 + 2.2 * Math.exp(-9 * done));
    }
    line.put("expert_load", IntStream.range(0, layers).mapToObj(l -> load(l, done)).toList());
    return line;
  }

  private double noise(double size) {
    return size * (random.nextDouble() + random.nextDouble() - 1) * 2;
  }

  private List<Long> load(int layer, double done) {
    SplittableRandom taste = new SplittableRandom(layer + 1);
    List<Long> counts = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      double start = 2.2 * taste.nextDouble() - 1.1;
      double end = 0.5 * taste.nextDouble() - 0.25;
      double size = start * Math.exp(-8 * done) + end + noise(0.06);
      counts.add(Math.round(4096.0 / experts * Math.exp(size)));
    }
    return counts;
  }

  void summary(List<Map<String, String>> samples) throws IOException {
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("val_bpb", 1.9312);
    summary.put("baseline_order0_bpb", 4.3071);
    summary.put("baseline_order2_bpb", 2.7954);
    summary.put("tokens_per_s", 5423.7);
    summary.put("seconds", 151.3);
    summary.put("params_total", 12_648_448);
    summary.put("params_active", 4_784_128);
    summary.put("samples", samples);
    Files.writeString(folder.resolve("summary.json"), new JsonMapper().writeValueAsString(summary));
  }

  RoutingTable routing() {
    long[] tokens = DOMAINS.stream().mapToLong(d -> 300 + random.nextInt(4000)).toArray();
    List<LayerRouting> rows = new ArrayList<>();
    for (int l = 0; l < layers; l++) {
      rows.add(layer(l, tokens));
    }
    return new RoutingTable(Arrays.stream(tokens).sum() + 777, DOMAINS, tokens, rows);
  }

  /** Every part of speech, and every third domain of it, has experts that it prefers. */
  private LayerRouting layer(int layer, long[] tokens) {
    double strength = 0.25 + 0.35 * layer;
    double[][] counts = new double[tokens.length][experts];
    double[] load = new double[experts];
    for (int d = 0; d < tokens.length; d++) {
      String part = DOMAINS.get(d).substring(0, 3);
      double[] wish = new double[experts];
      for (int e = 0; e < experts; e++) {
        int kind = new SplittableRandom(part.hashCode() * 31L + e * 7L + layer).nextInt(3) - 1;
        int topic = new SplittableRandom(d % 5 * 131L + e * 17L + layer).nextInt(3) - 1;
        wish[e] = Math.exp(strength * (kind + topic) + noise(0.1));
      }
      double all = Arrays.stream(wish).sum();
      long left = 2 * tokens[d];
      for (int e = 0; e < experts; e++) {
        counts[d][e] =
            e == experts - 1 ? left : Math.min(left, Math.round(2 * tokens[d] * wish[e] / all));
        left -= (long) counts[d][e];
        load[e] += counts[d][e];
      }
    }
    List<String> words = List.of(" the", " bird", "ing", " of or", " chemical", "\n", " (", "ness");
    List<List<TypicalToken>> typical = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      int first = e;
      typical.add(
          IntStream.range(0, 6)
              .mapToObj(
                  i -> new TypicalToken(words.get((first + 3 * i) % 8), 90 - 7 * i, 0.5 / (i + 1)))
              .toList());
    }
    return new LayerRouting(layer, counts, load, 0, typical);
  }
}
