package org.moe4j.models.hf;

import java.nio.file.Path;
import org.moe4j.models.Decoder;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;

/**
 * Writes the checkpoints under {@code src/test/resources/ours}, whose {@code expected.safetensors}
 * {@code hf_fixture.py expect} adds: what transformers computes from what we saved.
 */
final class FixtureMaker {
  private FixtureMaker() {}

  /** The only argument is the folder {@code ours}. */
  public static void main(String[] arguments) {
    Path root = Path.of(arguments[0]);
    HfCheckpoint.SaveOptions plain = HfCheckpoint.SaveOptions.DEFAULT;
    try (Decoder olmoe = Tiny.model(Tiny.olmoe().toBuilder().tiedEmbeddings(true).build(), 11)) {
      HfCheckpoint.save(root.resolve("olmoe"), olmoe, plain.withDtype(DType.BF16));
    }
    try (Decoder mixtral = Tiny.model(Tiny.mixtral(), 12)) {
      HfCheckpoint.save(
          root.resolve("mixtral"),
          mixtral,
          plain.withMaxShardBytes(60_000).withTokens(SpecialTokens.endingWith(2)));
    }
  }
}
