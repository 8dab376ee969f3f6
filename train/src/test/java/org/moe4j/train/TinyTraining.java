package org.moe4j.train;

import java.nio.file.Path;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;

/** A trainer of a tiny model before its first step, with all that belongs to it. */
record TinyTraining(Decoder model, Trainer trainer, Corpus corpus) implements AutoCloseable {
  /** On the corpus that {@link Tiny#corpus} wrote into {@code folder}. */
  static TinyTraining of(Path folder, String... overrides) {
    TrainingConfig config = Tiny.config(folder, overrides);
    return of(
        config, Corpus.read(config, folder.resolve("tokenizer.json"), TrainingListener.SILENT));
  }

  /** On a corpus that was read before. */
  static TinyTraining of(TrainingConfig config, Corpus corpus) {
    Decoder model =
        new Decoder(ModelPlan.of(config, corpus.tokenizer().vocabSize()), new ParameterStore(1));
    Sampler sampler =
        new Sampler(
            corpus.dataset().train(), config.train().batchSize(), 16, SamplerState.start(1));
    return new TinyTraining(
        model, new Trainer(model, config.train(), sampler, new RandomSource(2)), corpus);
  }

  /** The values of a parameter or of state. */
  double[] values(String name) {
    return model.parameters().named(name).tensor().toDoubles();
  }

  @Override
  public void close() {
    trainer.close();
    model.close();
  }
}
