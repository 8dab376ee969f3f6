package org.moe4j.train;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.moe4j.models.AnswerGenerator;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.Sampling;
import org.moe4j.models.Tokenizer;
import org.moe4j.models.hf.HfEncoderDecoder;

/** An encoder-decoder with its tokenizer: it reads a whole text and writes an answer. */
public final class AnswerModel implements TextModel {
  private final HfEncoderDecoder.Loaded loaded;
  private final EncoderDecoder model;
  private final Tokenizer tokenizer;
  private final Set<Integer> stopIds;

  private AnswerModel(
      HfEncoderDecoder.Loaded loaded,
      EncoderDecoder model,
      Tokenizer tokenizer,
      Set<Integer> stopIds) {
    this.loaded = loaded;
    this.model = model;
    this.tokenizer = tokenizer;
    this.stopIds = stopIds;
  }

  /**
   * Reads the encoder-decoder that {@code path} stands for, with its tokenizer, see {@link
   * LanguageModel#open}.
   *
   * @throws org.moe4j.tensor.MoeException if it is incomplete or damaged
   */
  public static AnswerModel open(Path path, Loading how) {
    Path folder = LanguageModel.folder(path);
    Tokenizer tokenizer = LanguageModel.requireTokenizer(folder);
    try {
      Set<Integer> stopIds = new HashSet<>(LanguageModel.generationStops(folder));
      HfEncoderDecoder.Loaded loaded =
          HfEncoderDecoder.load(folder, options(how), how.progress());
      try {
        stopIds.addAll(loaded.tokens().eos());
        EncoderDecoder model = loaded.model().withPrecision(how.dtype());
        LanguageModel.refuseLarger(tokenizer, model.config().vocab());
        return new AnswerModel(loaded, model, tokenizer, stopIds);
      } catch (RuntimeException e) {
        loaded.close();
        throw e;
      }
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  static HfEncoderDecoder.LoadOptions options(Loading how) {
    HfEncoderDecoder.LoadOptions options =
        HfEncoderDecoder.LoadOptions.DEFAULT
            .withDevice(how.device().require())
            .withDtype(how.dtype());
    return how.expertBytes().isPresent()
        ? options.withExpertsOnDemand(how.expertBytes().getAsLong())
        : options;
  }

  @Override
  public LanguageModel.Continuation generate(
      String prompt, int maxTokens, Sampling sampling, Consumer<String> onText) {
    return generate(new AnswerGenerator(model, sampling, stopIds), prompt, maxTokens, onText);
  }

  @Override
  public LanguageModel.Continuation generateUncached(
      String prompt, int maxTokens, Consumer<String> onText) {
    AnswerGenerator generator = new AnswerGenerator(model, Sampling.GREEDY, stopIds);
    return generate(generator.uncached(), prompt, maxTokens, onText);
  }

  private LanguageModel.Continuation generate(
      AnswerGenerator generator, String prompt, int maxTokens, Consumer<String> onText) {
    int[] ids = tokenizer.encodePrompt(prompt);
    TextOutput output = new TextOutput(tokenizer, onText, () -> true);
    int[] made = generator.generate(ids, maxTokens, output::token);
    return output.finish(ids.length, made.length);
  }

  /** What the memory of experts has done so far, if they are read on demand. */
  public Optional<ExpertCache.Stats> experts() {
    return loaded.experts().map(ExpertCache::stats);
  }

  @Override
  public void close() {
    loaded.close();
    tokenizer.close();
  }
}
