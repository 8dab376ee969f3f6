package org.moe4j.lab;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A {@link LanguageArm} whose hash tables are made of clusters of token embeddings (S13): those of
 * a dense model that learns the same text first, once for all seeds. Its steps are in no arm's
 * budget.
 *
 * @param base its settings, but for the embeddings
 */
public record ClusteredHashArm(LanguageArm base) implements Workload {
  private static final int DENSE_STEPS = 300;
  private static final String TENSOR = "embed.weight";

  /** Embeddings [V,d] of the dense model. */
  private record Embeddings(double[] values, long vocab) {}

  @Override
  public List<String> settings() {
    return base.settings();
  }

  @Override
  public Cost cost(Bench bench) {
    return base.cost(bench);
  }

  private Embeddings embeddings(Bench bench) {
    LanguageArm dense = base.with("moe.router=softmax-top-k", "model.placement=none");
    return bench.kept(
        Embeddings.class, List.of(Embeddings.class, dense.config(1)), () -> learned(bench, dense));
  }

  private static Embeddings learned(Bench bench, LanguageArm dense) {
    AtomicReference<double[]> values = new AtomicReference<>(new double[0]);
    LanguageArm shown =
        dense.measuring(
            TENSOR,
            (trainer, corpus) -> {
              values.set(trainer.model().parameters().named(TENSOR).tensor().toDoubles());
              return 0;
            });
    try (Trial trial = shown.start(bench, 0, DENSE_STEPS)) {
      for (int i = 0; i < DENSE_STEPS; i++) {
        trial.step();
      }
      trial.finish();
    }
    return new Embeddings(values.get(), values.get().length / dense.config(1).model().hidden());
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    Embeddings e = embeddings(bench);
    try {
      Path file = Files.createTempFile("embeddings", ".safetensors");
      try (Scope scope = Scope.open()) {
        Tensor table = Tensor.of(e.values, e.vocab, e.values.length / e.vocab);
        SafetensorsWriter.writeFile(
            file, List.of(SafetensorsWriter.Item.of(TENSOR, table)), Map.of());
        // The tables are made before the first step; then the file is not needed any more.
        return base.with("moe.options.embeddings=" + file).start(bench, seed, steps);
      } finally {
        Files.deleteIfExists(file);
      }
    } catch (IOException cause) {
      throw new UncheckedIOException(cause);
    }
  }
}
