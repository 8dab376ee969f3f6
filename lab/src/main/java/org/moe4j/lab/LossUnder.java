package org.moe4j.lab;

import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.Corpus;
import org.moe4j.train.Trainer;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;

/**
 * The held-out loss of a trained model's weights under settings they were not trained with: fewer
 * experts, for example. Nats per token.
 *
 * @param arm the settings; they must ask for the same weights
 */
public record LossUnder(LanguageArm arm) implements LanguageArm.Probe {
  @Override
  public double measure(Trainer trainer, Corpus corpus) {
    TrainingConfig config = arm.config(1);
    DecoderConfig plan =
        LanguageArm.plan(config, corpus.tokenizer().vocabSize(), corpus.dataset().domains().size());
    ParameterStore trained = trainer.model().parameters();
    Sampler unread =
        new Sampler(
            corpus.dataset().train(),
            config.train().batchSize(),
            config.data().sequenceLength(),
            SamplerState.start(0));
    try (Decoder model =
            new Decoder(plan, ParameterStore.uninitialised(trained.device(), DType.F32));
        Trainer scorer = new Trainer(model, config.train(), unread, new RandomSource(0))) {
      try (NoGrad off = NoGrad.open()) {
        for (Parameter p : model.parameters().all()) {
          p.tensor().copyInPlace(trained.named(p.name()).tensor());
        }
      }
      return scorer
          .validate(LanguageTrial.validation(config, corpus, Bench.VALIDATION_TOKENS))
          .loss();
    }
  }
}
