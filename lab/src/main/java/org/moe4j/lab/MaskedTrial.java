package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.moe4j.ParameterStore;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderLoss;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;
import org.moe4j.train.Corpus;
import org.moe4j.train.LearningRate;
import org.moe4j.train.config.TrainSection;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;
import org.moe4j.train.data.ValidationSet;

/** The training of one small model that names hidden tokens. */
final class MaskedTrial implements Trial {
  private static final double HIDDEN = 0.15;

  private final long mask;
  private final Decoder model;
  private final AdamW optimiser;
  private final LearningRate schedule;
  private final Sampler sampler;
  private final ValidationSet validation;
  private final SplittableRandom hiding;
  private final RandomSource noise;
  private final TrialLog log = new TrialLog();
  private long step;

  /** The seed decides the start, the order of the text and what is hidden. */
  MaskedTrial(TrainingConfig config, Corpus corpus, Bench bench, long seed) {
    mask = corpus.tokenizer().vocabSize();
    model =
        new Decoder(
            MaskedArm.plan(config, corpus),
            new ParameterStore(new RandomSource(seed), bench.device()));
    model.prepare(corpus.counts());
    TrainSection train = config.train();
    optimiser =
        new AdamW(
            model.parameters().all(),
            new AdamW.Options(train.beta1(), train.beta2(), train.eps(), train.weightDecay()));
    schedule = LearningRate.of(train);
    int length = config.data().sequenceLength();
    sampler =
        new Sampler(corpus.dataset().train(), train.batchSize(), length, SamplerState.start(seed));
    validation =
        new ValidationSet(
            corpus.dataset().validation(),
            train.batchSize(),
            length,
            // Of which a share is hidden, and only that is measured.
            2 * bench.validationTokens());
    hiding = new SplittableRandom(seed);
    noise = new RandomSource(seed + 1);
  }

  @Override
  public double step() {
    long begin = System.nanoTime();
    Batch batch = sampler.next();
    step++;
    try (Scope scope = Scope.open()) {
      TokenContext context = TokenContext.train(batch.sequences(), batch.length(), noise);
      DecoderLoss loss = loss(batch, hiding, context);
      loss.total().backward();
      optimiser.update(schedule.at(step), 1);
      model.parameters().all().forEach(p -> p.tensor().clearGrad());
      double value = loss.crossEntropy().item();
      log.add(value, stats(loss), (System.nanoTime() - begin) * 1e-9);
      return value;
    }
  }

  private static List<RoutingStats> stats(DecoderLoss loss) {
    return loss.output().layers().stream().map(layer -> layer.stats()).toList();
  }

  /** Hides a part of the inputs; these are the targets. */
  private DecoderLoss loss(Batch batch, SplittableRandom random, TokenContext context) {
    long b = batch.sequences();
    long s = batch.length();
    long[] ids = batch.inputs().clone();
    long[] targets = new long[ids.length];
    Arrays.fill(targets, Batch.IGNORED);
    for (int t = 0; t < ids.length; t++) {
      if (batch.targets()[t] != Batch.IGNORED && random.nextDouble() < HIDDEN) {
        targets[t] = ids[t];
        ids[t] = mask;
      }
    }
    Device device = model.parameters().device();
    return model.loss(
        Tensor.of(ids, b, s).to(device), Tensor.of(targets, b, s).to(device), context);
  }

  @Override
  public Measurement finish() {
    SplittableRandom random = new SplittableRandom(0);
    double sum = 0;
    List<RoutingStats> all = new ArrayList<>();
    for (int i = 0; i < validation.batches(); i++) {
      Batch batch = validation.batch(i);
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        TokenContext context = TokenContext.eval(batch.sequences(), batch.length());
        DecoderLoss loss = loss(batch, random, context);
        sum += loss.crossEntropy().item();
        List<RoutingStats> stats = stats(loss);
        for (int l = 0; l < stats.size(); l++) {
          if (l == all.size()) {
            all.add(stats.get(l));
          } else {
            all.set(l, all.get(l).plus(stats.get(l)));
          }
        }
      }
    }
    Map<String, Double> values = new HashMap<>(log.values());
    values.put(Metric.LOSS.key(), sum / validation.batches());
    double imbalance = all.stream().mapToDouble(RoutingStats::imbalance).average().orElse(1);
    values.put(Metric.IMBALANCE.key(), imbalance);
    values.put(Metric.VIOLATION.key(), imbalance - 1);
    return new Measurement(values, log.curves(), Optional.empty(), log.seconds());
  }

  @Override
  public void close() {
    optimiser.close();
    model.close();
  }
}
