package org.moe4j.lab;

import java.util.Optional;
import org.moe4j.MoeOutput;
import org.moe4j.TokenContext;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.Corpus;
import org.moe4j.train.Trainer;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.ValidationSet;

/**
 * How sure routers are of their first choice: the mean of a token's largest probability over the
 * mean of its second largest, on held-out text, mean over layers (Skywork-MoE's Max1/Max2). It is 1
 * where routers do not tell experts apart.
 */
public record GateSharpness(LanguageArm arm) implements LanguageArm.Probe {
  /** Batches that it is measured on. */
  private static final int BATCHES = 4;

  @Override
  public double measure(Trainer trainer, Corpus corpus) {
    TrainingConfig config = arm.config(1);
    ValidationSet text = LanguageTrial.validation(config, corpus, Bench.VALIDATION_TOKENS);
    double sum = 0;
    int layers = 0;
    for (int i = 0; i < Math.min(BATCHES, text.batches()); i++) {
      Batch batch = text.batch(i);
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        Tensor ids =
            Tensor.of(batch.inputs(), batch.sequences(), batch.length())
                .to(trainer.model().parameters().device());
        TokenContext context = TokenContext.eval(batch.sequences(), batch.length());
        for (MoeOutput layer : trainer.model().forward(ids, context).layers()) {
          Optional<Tensor> probabilities = layer.routing().evidence().probabilities();
          sum += probabilities.map(GateSharpness::of).orElse(Double.NaN);
          layers++;
        }
      }
    }
    return sum / layers;
  }

  /** Of probabilities [T,E]. */
  static double of(Tensor probabilities) {
    Tensor two = probabilities.topk(2, 1).values().mean(0, false);
    return two.select(0, 0).item() / two.select(0, 1).item();
  }
}
