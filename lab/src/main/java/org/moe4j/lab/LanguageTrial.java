package org.moe4j.lab;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.Corpus;
import org.moe4j.train.StepResult;
import org.moe4j.train.Trainer;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;
import org.moe4j.train.data.ValidationSet;
import org.moe4j.train.report.LayerRouting;
import org.moe4j.train.report.RoutingAnalysis;
import org.moe4j.train.report.RoutingTable;

/** The training of one small language model. */
final class LanguageTrial implements Trial {
  private static final int ANALYSED_BATCHES = 8;

  private final Corpus corpus;
  private final LanguageArm arm;
  private final ValidationSet validation;
  private final Decoder model;
  private final Trainer trainer;
  private final TrialLog log = new TrialLog();

  /** The seed decides the start, the order of the text and the routers' noise. */
  LanguageTrial(TrainingConfig config, Corpus corpus, Bench bench, long seed, LanguageArm arm) {
    this.corpus = corpus;
    this.arm = arm;
    int length = config.data().sequenceLength();
    int sequences = config.train().batchSize();
    validation = validation(config, corpus, bench.validationTokens());
    DecoderConfig plan =
        LanguageArm.plan(config, corpus.tokenizer().vocabSize(), corpus.dataset().domains().size());
    model = new Decoder(plan, new ParameterStore(new RandomSource(seed), bench.device()));
    model.prepare(corpus.counts());
    Sampler sampler =
        new Sampler(corpus.dataset().train(), sequences, length, SamplerState.start(seed));
    trainer = new Trainer(model, config.train(), sampler, new RandomSource(seed + 1));
  }

  /** The first so many tokens of the held-out text, as models of {@code config} read it. */
  static ValidationSet validation(TrainingConfig config, Corpus corpus, int tokens) {
    return new ValidationSet(
        corpus.dataset().validation(),
        config.train().batchSize(),
        config.data().sequenceLength(),
        tokens);
  }

  @Override
  public double step() {
    StepResult step = trainer.step();
    log.add(step.loss(), step.routing(), step.seconds());
    arm.watched().forEach((name, quantity) -> log.add(name, quantity.applyAsDouble(step)));
    return step.loss();
  }

  @Override
  public Measurement finish() {
    Map<String, Double> values = new HashMap<>(log.values());
    values.put(Metric.LOSS.key(), trainer.validate(validation).loss());
    Optional<RoutingTable> routing = Optional.empty();
    if (log.isSparse()) {
      RoutingTable table =
          RoutingAnalysis.of(
              trainer.model(),
              validation,
              corpus.dataset().domains(),
              corpus.tokenizer(),
              ANALYSED_BATCHES);
      double imbalance =
          table.layers().stream().mapToDouble(LayerRouting::maxOverMean).average().orElse(1);
      values.put(Metric.IMBALANCE.key(), imbalance);
      values.put(Metric.VIOLATION.key(), imbalance - 1);
      routing = Optional.of(table);
    }
    arm.probes().forEach((key, probe) -> values.put(key, probe.measure(trainer, corpus)));
    return new Measurement(values, log.curves(), routing, log.seconds());
  }

  @Override
  public void close() {
    trainer.close();
    model.close();
  }
}
