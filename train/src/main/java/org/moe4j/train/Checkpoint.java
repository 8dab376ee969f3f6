package org.moe4j.train;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.config.TrainingConfig;

/**
 * One checkpoint: a model in Hugging Face form, and under {@code trainer/} what it takes to go on
 * with it: {@code optimizer.safetensors}, {@code state.json}, {@code config.toml}.
 *
 * @param folder of the checkpoint
 * @param trainer where the trainer stood
 * @param progress what had been used
 */
record Checkpoint(Path folder, TrainerState trainer, Progress progress) {
  private static final String TRAINER = "trainer";
  private static final String OPTIMIZER = "optimizer.safetensors";
  private static final String STATE = "state.json";

  /** Fills {@code folder}. */
  static void write(
      Path folder,
      Trainer trainer,
      LanguageModel language,
      Corpus corpus,
      Progress progress,
      TrainingConfig config) {
    ModelFolder.save(folder, language.model(), corpus.tokenizer());
    Path state = folder.resolve(TRAINER);
    SafetensorsWriter.writeFile(state.resolve(OPTIMIZER), trainer.optimiser().items(), Map.of());
    AtomicFile.write(
        state.resolve(RunFolder.CONFIG), config.toToml().getBytes(StandardCharsets.UTF_8));
    Json.write(
        state.resolve(STATE),
        json -> {
          trainer.state().writeTo(json);
          progress.writeTo(json.putObject("progress"));
          json.put("corpus", Long.toHexString(corpus.dataset().fingerprint()));
        });
  }

  /**
   * Reads where the trainer stood.
   *
   * @throws MoeException if something is damaged, or the text is not the one it was trained on
   */
  static Checkpoint open(Path folder, Corpus corpus) {
    Path file = folder.resolve(TRAINER).resolve(STATE);
    if (!Files.exists(file)) {
      throw new MoeException(
          file
              + ": no such file; the checkpoint "
              + folder
              + " cannot be resumed from, remove it to go on from the one before");
    }
    Json json = Json.read(file);
    if (!json.text("corpus").equals(Long.toHexString(corpus.dataset().fingerprint()))) {
      throw new MoeException(
          folder
              + ": was trained on another text than "
              + corpus.source()
              + " is now; restore the text, or start a new run");
    }
    return new Checkpoint(folder, TrainerState.read(json), Progress.read(json.object("progress")));
  }

  /**
   * Puts parameters and optimiser back. The trainer is then where it was.
   *
   * @throws MoeException if they are damaged or of another shape
   */
  void restore(Trainer fresh) {
    ParameterStore target = fresh.model().parameters();
    try (Decoder stored = HfCheckpoint.load(folder, target.device(), target.dtype()).model()) {
      copy(stored.parameters(), target);
    }
    try (Safetensors state = Safetensors.open(folder.resolve(TRAINER).resolve(OPTIMIZER))) {
      fresh.optimiser().load(state);
    }
    fresh.restore(trainer);
  }

  private void copy(ParameterStore from, ParameterStore to) {
    if (from.all().size() != to.all().size()) {
      throw anotherShape("it has " + from.all().size() + " tensors, not " + to.all().size());
    }
    for (Parameter p : to.all()) {
      Tensor stored = from.named(p.name()).tensor();
      if (!Arrays.equals(stored.shape(), p.tensor().shape())) {
        throw anotherShape(
            p.name()
                + " is "
                + Arrays.toString(stored.shape())
                + ", not "
                + Arrays.toString(p.tensor().shape()));
      }
    }
    try (NoGrad off = NoGrad.open()) {
      to.all().forEach(p -> p.tensor().copyInPlace(from.named(p.name()).tensor()));
    }
  }

  private MoeException anotherShape(String how) {
    return new MoeException(
        folder
            + ": a checkpoint of another shape than [model] and [moe] describe: "
            + how
            + "; undo the change of the configuration, or start a new run");
  }
}
