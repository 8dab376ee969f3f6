package org.moe4j.engine;

import org.jspecify.annotations.Nullable;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.text.Tokenizer;

/** A file's tokenizer, read when it is first asked for: a model of tokens alone runs without. */
final class LazyTokenizer {
  private final GgufFile file;
  private final int most;
  private @Nullable Tokenizer tokenizer;

  /**
   * @param most tokens that the model has
   */
  LazyTokenizer(GgufFile file, int most) {
    this.file = file;
    this.most = most;
  }

  synchronized Tokenizer get() {
    if (tokenizer == null) {
      Tokenizer read = Tokenizer.of(file.metadata());
      if (read.size() > most) {
        throw new EngineException(
            file.path()
                + ": its tokenizer has "
                + read.size()
                + " tokens, the model "
                + most
                + "; they do not belong together");
      }
      tokenizer = read;
    }
    return tokenizer;
  }
}
