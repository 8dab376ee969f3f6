package org.moe4j.train;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Set;
import org.moe4j.models.Decoder;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.models.hf.HfLayout;
import org.moe4j.models.hf.SpecialTokens;
import org.moe4j.train.data.BpeTokenizer;

/** A trained model as a folder with all that transformers needs to run it. */
final class ModelFolder {
  /** What transformers reads before it generates. */
  static final String GENERATION = "generation_config.json";

  private ModelFolder() {}

  /** Writes model, tokenizer and manifest into {@code folder}. */
  static HfLayout.Choice save(Path folder, Decoder model, BpeTokenizer tokenizer) {
    int end = tokenizer.endOfText();
    Folders.create(folder);
    SpecialTokens tokens = new SpecialTokens(OptionalInt.of(end), Set.of(end), OptionalInt.empty());
    tokenizer.write(folder.resolve(RunFolder.TOKENIZER));
    Json.write(
        folder.resolve(GENERATION),
        json -> json.put("bos_token_id", end).put("eos_token_id", end).put("do_sample", false));
    HfLayout.Choice layout =
        HfCheckpoint.save(
            folder,
            model,
            HfCheckpoint.SaveOptions.DEFAULT
                .withDtype(model.parameters().dtype())
                .withTokens(tokens));
    Manifest.write(folder, model.config());
    return layout;
  }
}
