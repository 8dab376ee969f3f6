package org.moe4j.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.moe4j.models.Decoder;
import org.moe4j.models.Generator;
import org.moe4j.models.HfTokenizer;
import org.moe4j.models.PrefixCache;
import org.moe4j.models.Sampling;
import org.moe4j.models.Tokenizer;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.data.BpeTokenizer;

/**
 * A decoder with its tokenizer: text in, text out.
 *
 * @param model the decoder
 * @param tokenizer of the same vocabulary
 * @param stopIds tokens that end a text
 */
public record LanguageModel(Decoder model, Tokenizer tokenizer, Set<Integer> stopIds)
    implements TextModel {
  private static final String CONFIG = "config.json";

  /** What tokenizers come as in the files of SentencePiece. */
  private static final List<String> SENTENCE_PIECE =
      List.of("spiece.model", "tokenizer.model", "sentencepiece.bpe.model");

  /** Refuses a tokenizer that knows tokens which the model does not. */
  public LanguageModel {
    stopIds = Set.copyOf(stopIds);
    refuseLarger(tokenizer, model.config().vocab());
  }

  static void refuseLarger(Tokenizer tokenizer, int vocab) {
    if (tokenizer.vocabSize() > vocab) {
      throw new MoeException(
          "the tokenizer has "
              + tokenizer.vocabSize()
              + " tokens, the model "
              + vocab
              + "; they do not belong together");
    }
  }

  /**
   * What one continuation was.
   *
   * @param text without the prompt
   * @param promptTokens tokens of the prompt
   * @param tokens new tokens
   */
  public record Continuation(String text, int promptTokens, int tokens) {}

  /**
   * The model folder that {@code path} stands for: itself, the {@code model} folder of a run, or
   * the newest checkpoint of a run that has not ended.
   *
   * @throws MoeException if there is none
   */
  public static Path folder(Path path) {
    if (!Files.exists(path)) {
      throw new MoeException(path + ": no such file or folder");
    }
    if (Files.exists(path.resolve(CONFIG))) {
      return path;
    }
    Path model = path.resolve(RunFolder.MODEL);
    if (Files.exists(model.resolve(CONFIG))) {
      return model;
    }
    return new RunFolder(path)
        .checkpoints()
        .newest()
        .orElseThrow(
            () ->
                new MoeException(
                    path
                        + ": no model here; name a folder with "
                        + CONFIG
                        + ", or a run that has a checkpoint"));
  }

  /** What a model computes in where nothing else is asked for: fp32 on the CPU, bf16 on CUDA. */
  public static DType defaultType(Device device) {
    return device == Device.CUDA ? DType.BF16 : DType.F32;
  }

  /** Reads the model that {@code path} stands for, in the device's default type. */
  public static LanguageModel open(Path path, Device device) {
    return open(path, Loading.on(device));
  }

  /**
   * Reads the decoder that {@code path} stands for, with its tokenizer. A text ends with the end
   * tokens of {@code config.json} and of {@code generation_config.json}; how the latter would
   * sample is not followed.
   *
   * @throws MoeException if it is incomplete, damaged or an encoder-decoder
   */
  public static LanguageModel open(Path path, Loading how) {
    Path folder = decoderFolder(path);
    refuseExpertBytes(folder, how);
    Tokenizer tokenizer = requireTokenizer(folder);
    try {
      Set<Integer> stopIds = new HashSet<>(generationStops(folder));
      HfCheckpoint.Loaded loaded =
          HfCheckpoint.load(folder, how.device().require(), how.dtype(), how.progress());
      stopIds.addAll(loaded.tokens().eos());
      try {
        return new LanguageModel(loaded.model().withPrecision(how.dtype()), tokenizer, stopIds);
      } catch (RuntimeException e) {
        loaded.model().close();
        throw e;
      }
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  /**
   * The {@link #folder} that {@code path} stands for, if a decoder of a known family is in it.
   *
   * @throws MoeException if not
   */
  static Path decoderFolder(Path path) {
    Path folder = folder(path);
    HfCheckpoint.requireDecoder(folder);
    return folder;
  }

  static void refuseExpertBytes(Path folder, Loading how) {
    if (how.expertBytes().isPresent()) {
      throw new MoeException(
          folder
              + ": --experts-memory is for encoder-decoder models, which this is not; leave it out");
    }
  }

  static Tokenizer requireTokenizer(Path folder) {
    return tokenizer(folder).orElseThrow(() -> new MoeException(noTokenizer(folder)));
  }

  private static String noTokenizer(Path folder) {
    String wanted = folder.resolve(RunFolder.TOKENIZER) + ": no such file; text needs the model's";
    return SENTENCE_PIECE.stream()
        .filter(name -> Files.exists(folder.resolve(name)))
        .findFirst()
        .map(name -> wanted + " tokenizer in this form, which " + name + " is not")
        .orElse(wanted + " tokenizer");
  }

  /** The tokenizer in a model's folder, if there is one. The caller closes it. */
  public static Optional<Tokenizer> tokenizer(Path folder) {
    Path file = folder.resolve(RunFolder.TOKENIZER);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    // What moe trained begins behind an end of text, which its tokenizer.json does not say.
    boolean ours = Files.exists(folder.resolve(Manifest.FILE));
    return Optional.of(ours ? BpeTokenizer.read(file) : HfTokenizer.read(file));
  }

  static Set<Integer> generationStops(Path folder) {
    Path file = folder.resolve(ModelFolder.GENERATION);
    return Files.exists(file) ? Json.read(file).wholes("eos_token_id") : Set.of();
  }

  @Override
  public Continuation generate(
      String prompt, int maxTokens, Sampling sampling, Consumer<String> onText) {
    int[] ids = tokenizer.encodePrompt(prompt);
    TextOutput output = new TextOutput(tokenizer, onText, () -> true);
    int[] made = new Generator(model, sampling, stopIds).generate(ids, maxTokens, output::token);
    return output.finish(ids.length, made.length);
  }

  /** Continues several prompts, side by side where that changes nothing: each as if alone. */
  public List<Continuation> generate(List<String> prompts, int maxTokens, Sampling sampling) {
    List<int[]> ids = prompts.stream().map(tokenizer::encodePrompt).toList();
    List<int[]> made = new Generator(model, sampling, stopIds).generate(ids, maxTokens);
    List<Continuation> all = new ArrayList<>();
    for (int i = 0; i < made.size(); i++) {
      Output output = new Output(part -> {}, () -> true);
      Arrays.stream(made.get(i)).forEach(output::token);
      all.add(output.finish(ids.get(i).length, made.get(i).length));
    }
    return all;
  }

  /**
   * Continues the tokens {@code ids}, reading only what {@code kept} does not hold.
   *
   * @param goesOn asked after every token; false ends the text there
   */
  Continuation generate(
      int[] ids,
      int maxTokens,
      Sampling sampling,
      PrefixCache kept,
      Consumer<String> onText,
      BooleanSupplier goesOn) {
    TextOutput output = new TextOutput(tokenizer, onText, goesOn);
    int[] made =
        new Generator(model, sampling, stopIds).generate(ids, maxTokens, kept, output::token);
    return output.finish(ids.length, made.length);
  }

  @Override
  public Continuation generateUncached(String prompt, int maxTokens, Consumer<String> onText) {
    int[] ids = tokenizer.encodePrompt(prompt);
    int[] all = ids;
    TextOutput output = new TextOutput(tokenizer, onText, () -> true);
    while (all.length - ids.length < maxTokens && all.length <= model.config().maxPositions()) {
      int next = mostLikely(all);
      if (stopIds.contains(next)) {
        break;
      }
      all = IntStream.concat(Arrays.stream(all), IntStream.of(next)).toArray();
      output.token(next);
    }
    return output.finish(ids.length, all.length - ids.length);
  }

  private int mostLikely(int[] ids) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      long[] wide = Arrays.stream(ids).asLongStream().toArray();
      Tensor input = Tensor.of(wide, 1, wide.length).to(model.parameters().device());
      Tensor logits = ModelLogits.of(model, input);
      return (int) logits.select(1, wide.length - 1).argmax(-1, false).item();
    }
  }

  @Override
  public void close() {
    model.close();
    tokenizer.close();
  }
}
