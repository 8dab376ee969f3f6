package org.moe4j.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import org.moe4j.Validity;
import org.moe4j.models.DecoderConfig;
import org.moe4j.train.Corpus;
import org.moe4j.train.ModelPlan;
import org.moe4j.train.StepResult;
import org.moe4j.train.Trainer;
import org.moe4j.train.config.TrainingConfig;

/**
 * A small decoder that learns the glosses of WordNet: what {@code moe train} does with these
 * settings.
 *
 * @param settings of the training configuration, as {@code --set} takes them
 * @param probes further quantities of the trained model, by {@link Metric#key}
 * @param watched further quantities of every step, by the name of their curve; the mean of the last
 *     tenth is a value under the same key
 */
public record LanguageArm(
    List<String> settings,
    Map<String, Probe> probes,
    Map<String, ToDoubleFunction<StepResult>> watched)
    implements Workload {
  /**
   * What all have in common: a layer of width 64, and a text of a thousand different tokens. In a
   * minute or two one layer learns more than several do. Small batches give more steps. A small
   * base of the rotary angles and weights that start larger than usual let attention find the token
   * before soon, which otherwise takes hundreds of steps or thousands; how many depends on the
   * seed, and where seeds differ by that nobody sees what experts do.
   */
  private static final List<String> COMMON =
      List.of(
          "data.vocab-size=1024",
          "data.sequence-length=32",
          "model.layers=1",
          "model.rope-theta=10",
          "model.hidden=64",
          "model.heads=4",
          "model.kv-heads=4",
          "model.init-std=0.1",
          "model.ffn=128",
          "moe.expert-ffn=128",
          "moe.experts=8",
          "moe.init=st-moe",
          "moe.z-loss=0",
          "train.batch-size=8",
          "train.learning-rate=4e-3",
          "train.min-learning-rate=4e-4",
          "train.weight-decay=0.01",
          "train.precision=fp32");

  /** A quantity of a trained model. */
  @FunctionalInterface
  public interface Probe {
    /** Measures. */
    double measure(Trainer trainer, Corpus corpus);
  }

  /** Copies all. */
  public LanguageArm {
    settings = List.copyOf(settings);
    probes = Map.copyOf(probes);
    watched = Map.copyOf(watched);
  }

  /** An arm with these settings beside the common ones. */
  public static LanguageArm of(String... settings) {
    return new LanguageArm(List.of(settings), Map.of(), Map.of());
  }

  /** The same with more settings, which replace what it has of the same keys. */
  public LanguageArm with(String... more) {
    Map<String, String> byKey = new LinkedHashMap<>();
    Stream.concat(settings.stream(), Stream.of(more))
        .forEach(setting -> byKey.put(setting.split("=", 2)[0], setting));
    return new LanguageArm(List.copyOf(byKey.values()), probes, watched);
  }

  /**
   * The same at half the width, learned at twice the rate: the narrower the rest of a model is, the
   * more its experts count for, and the more steps there are in the same time.
   */
  public LanguageArm narrow() {
    return with(
        "model.hidden=32",
        "model.heads=2",
        "model.kv-heads=2",
        "train.learning-rate=8e-3",
        "train.min-learning-rate=8e-4");
  }

  /** The same with one more quantity. */
  public LanguageArm measuring(String key, Probe probe) {
    Map<String, Probe> more = new LinkedHashMap<>(probes);
    more.put(key, probe);
    return new LanguageArm(settings, more, watched);
  }

  /** The same with one more quantity of every step. */
  public LanguageArm watching(String name, ToDoubleFunction<StepResult> quantity) {
    Map<String, ToDoubleFunction<StepResult>> more = new LinkedHashMap<>(watched);
    more.put(name, quantity);
    return new LanguageArm(settings, probes, more);
  }

  /** The whole configuration of a run. */
  TrainingConfig config(int steps) {
    List<String> all = new ArrayList<>(COMMON);
    all.addAll(settings);
    all.add("train.steps=" + steps);
    return TrainingConfig.defaults().with(all);
  }

  /**
   * The decoder.
   *
   * @param domains labelled domains of the text
   * @throws org.moe4j.tensor.MoeException if it may not be trained so
   */
  static DecoderConfig plan(TrainingConfig config, int vocab, int domains) {
    DecoderConfig plan = ModelPlan.of(config, vocab, domains);
    boolean leaks = config.moe().allowLeaks();
    plan.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .distinct()
        .forEach(moe -> Validity.check(moe, Validity.Use.CAUSAL_TRAINING, leaks));
    return plan;
  }

  @Override
  public Cost cost(Bench bench) {
    TrainingConfig config = config(1);
    Corpus corpus = bench.corpus(config);
    DecoderConfig plan =
        plan(config, corpus.tokenizer().vocabSize(), corpus.dataset().domains().size());
    return Cost.of(plan, config.data().sequenceLength(), config.train().batchSize());
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    TrainingConfig config = config(steps);
    return new LanguageTrial(config, bench.corpus(config), bench, seed, this);
  }
}
