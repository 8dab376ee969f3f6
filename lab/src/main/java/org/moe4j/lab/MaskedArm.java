package org.moe4j.lab;

import java.util.List;
import org.moe4j.Validity;
import org.moe4j.models.DecoderConfig;
import org.moe4j.train.Corpus;
import org.moe4j.train.ModelPlan;
import org.moe4j.train.config.TrainingConfig;

/**
 * The small decoder of a {@link LanguageArm} that has to name tokens which were hidden from it, 15
 * percent by chance (BERT, Devlin and others, 2019). No target is among the inputs, so a router may
 * look at all of them; attention still looks to the left.
 *
 * @param base its settings
 */
public record MaskedArm(LanguageArm base) implements Workload {
  @Override
  public List<String> settings() {
    return base.settings();
  }

  /** The decoder, with one token more than the text has: the mask, the last of all. */
  static DecoderConfig plan(TrainingConfig config, Corpus corpus) {
    DecoderConfig plan =
        ModelPlan.of(config, corpus.tokenizer().vocabSize() + 1, corpus.dataset().domains().size());
    plan.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .distinct()
        .forEach(moe -> Validity.check(moe, Validity.Use.ENCODER, false));
    return plan;
  }

  @Override
  public Cost cost(Bench bench) {
    TrainingConfig config = base.config(1);
    return Cost.of(
        plan(config, bench.corpus(config)),
        config.data().sequenceLength(),
        config.train().batchSize());
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    TrainingConfig config = base.config(steps);
    return new MaskedTrial(config, bench.corpus(config), bench, seed);
  }
}
