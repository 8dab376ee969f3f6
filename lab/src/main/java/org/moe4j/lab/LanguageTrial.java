package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import org.moe4j.ParameterStore;
import org.moe4j.RoutingStats;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.Corpus;
import org.moe4j.train.StepResult;
import org.moe4j.train.Trainer;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;
import org.moe4j.train.report.LayerRouting;
import org.moe4j.train.report.RoutingAnalysis;
import org.moe4j.train.report.RoutingTable;

/** The training of one small language model. */
final class LanguageTrial implements Trial {
  private static final int POINTS = 60;
  private static final int ANALYSED_BATCHES = 16;

  private final Corpus corpus;
  private final Map<String, LanguageArm.Probe> probes;
  private final Decoder model;
  private final Trainer trainer;
  private final List<Double> losses = new ArrayList<>();
  private final List<Double> imbalances = new ArrayList<>();
  private final List<Double> drops = new ArrayList<>();
  private double seconds;

  /** The seed decides the start, the order of the text and the routers' noise. */
  LanguageTrial(
      TrainingConfig config,
      Corpus corpus,
      Device device,
      long seed,
      Map<String, LanguageArm.Probe> probes) {
    this.corpus = corpus;
    this.probes = probes;
    DecoderConfig plan =
        LanguageArm.plan(config, corpus.tokenizer().vocabSize(), corpus.dataset().domains().size());
    model = new Decoder(plan, new ParameterStore(new RandomSource(seed), device));
    model.prepare(corpus.counts());
    Sampler sampler =
        new Sampler(
            corpus.dataset().train(),
            config.train().batchSize(),
            config.data().sequenceLength(),
            SamplerState.start(seed));
    trainer = new Trainer(model, config.train(), sampler, new RandomSource(seed + 1));
  }

  @Override
  public double step() {
    StepResult step = trainer.step();
    seconds += step.seconds();
    losses.add(step.loss());
    if (!step.routing().isEmpty()) {
      imbalances.add(mean(step, RoutingStats::imbalance));
      drops.add(mean(step, RoutingStats::dropRate));
    }
    return step.loss();
  }

  private static double mean(StepResult step, ToDoubleFunction<RoutingStats> quantity) {
    return step.routing().stream().mapToDouble(quantity).average().orElse(0);
  }

  @Override
  public Measurement finish() {
    Map<String, Double> values = new HashMap<>();
    Map<String, Curve> curves = new HashMap<>();
    values.put(Metric.LOSS.key(), trainer.validate(corpus.validation()).loss());
    values.put(Metric.TRAINING_LOSS.key(), end(losses));
    values.put("seconds_per_step", seconds / losses.size());
    curves.put("loss", Curve.of(losses, POINTS));
    Optional<RoutingTable> routing = Optional.empty();
    if (!imbalances.isEmpty()) {
      RoutingTable table =
          RoutingAnalysis.of(
              trainer.model(),
              corpus.validation(),
              corpus.dataset().domains(),
              corpus.tokenizer(),
              ANALYSED_BATCHES);
      double imbalance =
          table.layers().stream().mapToDouble(LayerRouting::maxOverMean).average().orElse(1);
      values.put(Metric.IMBALANCE.key(), imbalance);
      values.put(Metric.VIOLATION.key(), imbalance - 1);
      values.put(Metric.DROPPED.key(), end(drops));
      curves.put("imbalance", Curve.of(imbalances, POINTS));
      curves.put("dropped", Curve.of(drops, POINTS));
      routing = Optional.of(table);
    }
    probes.forEach((key, probe) -> values.put(key, probe.measure(trainer, corpus)));
    return new Measurement(values, curves, routing, seconds);
  }

  /** The mean of the last tenth. */
  private static double end(List<Double> values) {
    int n = values.size();
    return Statistics.mean(values.subList(n - Math.max(1, n / 10), n));
  }

  @Override
  public void close() {
    trainer.close();
    model.close();
  }
}
