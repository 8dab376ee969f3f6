package org.moe4j.train;

import java.nio.file.Path;
import java.util.function.Consumer;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfEncoderDecoder;

/** A model with its tokenizer: text in, text out. */
public sealed interface TextModel extends AutoCloseable permits LanguageModel, AnswerModel {
  /**
   * Reads the model that {@code path} stands for, see {@link LanguageModel#folder}: a decoder or an
   * encoder-decoder.
   *
   * @throws org.moe4j.tensor.MoeException if it is incomplete or damaged
   */
  static TextModel open(Path path, Loading how) {
    return HfEncoderDecoder.serves(LanguageModel.folder(path))
        ? AnswerModel.open(path, how)
        : LanguageModel.open(path, how);
  }

  /**
   * Continues or answers {@code prompt}.
   *
   * @param onText told of the text as it comes, in whole characters
   */
  LanguageModel.Continuation generate(
      String prompt, int maxTokens, Sampling sampling, Consumer<String> onText);

  /**
   * The same with the most likely tokens, computing everything anew for each: the reference for
   * {@link #generate}, which keeps keys and values.
   */
  LanguageModel.Continuation generateUncached(
      String prompt, int maxTokens, Consumer<String> onText);

  /** Frees the model and the tokenizer. */
  @Override
  void close();
}
