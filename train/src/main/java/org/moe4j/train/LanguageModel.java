package org.moe4j.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DomainMixture;
import org.moe4j.models.Generator;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.models.hf.HfLayout;
import org.moe4j.models.hf.SpecialTokens;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.StreamingDecoder;

/**
 * A decoder with its tokenizer: text in, text out.
 *
 * @param model the decoder
 * @param tokenizer of the same vocabulary
 * @param stopIds tokens that end a text
 */
public record LanguageModel(Decoder model, BpeTokenizer tokenizer, Set<Integer> stopIds)
    implements AutoCloseable {
  private static final String CONFIG = "config.json";

  /** Refuses a tokenizer that knows tokens which the model does not. */
  public LanguageModel {
    stopIds = Set.copyOf(stopIds);
    if (tokenizer.vocabSize() > model.config().vocab()) {
      throw new MoeException(
          "the tokenizer has "
              + tokenizer.vocabSize()
              + " tokens, the model "
              + model.config().vocab()
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

  /**
   * Reads the model that {@code path} stands for, with its tokenizer.
   *
   * @throws MoeException if it is incomplete or damaged
   */
  public static LanguageModel open(Path path, Device device) {
    Path folder = folder(path);
    Path tokenizerFile = folder.resolve(RunFolder.TOKENIZER);
    if (!Files.exists(tokenizerFile)) {
      throw new MoeException(tokenizerFile + ": no such file; text needs the model's tokenizer");
    }
    BpeTokenizer tokenizer = BpeTokenizer.read(tokenizerFile);
    HfCheckpoint.Loaded loaded = HfCheckpoint.load(folder, device.require(), DType.F32);
    try {
      return new LanguageModel(loaded.model(), tokenizer, loaded.tokens().eos());
    } catch (RuntimeException e) {
      loaded.model().close();
      throw e;
    }
  }

  /** Writes the model into {@code folder} with all that transformers needs to run it. */
  HfLayout.Choice save(Path folder) {
    int end = tokenizer.endOfText();
    Folders.create(folder);
    SpecialTokens tokens = new SpecialTokens(OptionalInt.of(end), Set.of(end), OptionalInt.empty());
    tokenizer.write(folder.resolve(RunFolder.TOKENIZER));
    Json.write(
        folder.resolve("generation_config.json"),
        json -> json.put("bos_token_id", end).put("eos_token_id", end).put("do_sample", false));
    return HfCheckpoint.save(
        folder,
        model,
        HfCheckpoint.SaveOptions.DEFAULT.withDtype(model.parameters().dtype()).withTokens(tokens));
  }

  /** The tokens of a prompt: a text begins behind an end of text. */
  int[] encode(String prompt) {
    int[] ids = tokenizer.encodeOrdinary(prompt);
    return IntStream.concat(IntStream.of(tokenizer.endOfText()), Arrays.stream(ids)).toArray();
  }

  /**
   * Continues {@code prompt}.
   *
   * @param onText told of the text as it comes, in whole characters
   */
  public Continuation generate(
      String prompt, int maxTokens, Sampling sampling, Consumer<String> onText) {
    int[] ids = encode(prompt);
    Output output = new Output(onText);
    int[] made = new Generator(model, sampling, stopIds).generate(ids, maxTokens, output::token);
    return output.finish(ids.length, made.length);
  }

  /**
   * Continues {@code prompt} with the most likely tokens, computing everything anew for each: the
   * reference for {@link #generate}, which keeps keys and values.
   */
  public Continuation generateUncached(String prompt, int maxTokens, Consumer<String> onText) {
    int[] ids = encode(prompt);
    int[] all = ids;
    Output output = new Output(onText);
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
      Tensor logits =
          DomainMixture.serves(model) ? new DomainMixture(model).logits(input) : logits(input);
      return (int) logits.select(1, wide.length - 1).argmax(-1, false).item();
    }
  }

  /** Of a text of which nothing but its ids is known. */
  private Tensor logits(Tensor ids) {
    Tensor unknown = Tensor.full(-1, DType.I64, ids.device(), ids.shape());
    TokenContext context = TokenContext.eval(ids.size(0), ids.size(1)).withDomains(unknown);
    return model.logits(model.forward(ids, context).hidden());
  }

  /** Collects tokens as text. */
  private final class Output {
    private final StreamingDecoder decoder = new StreamingDecoder(tokenizer);
    private final StringBuilder text = new StringBuilder();
    private final Consumer<String> onText;

    private Output(Consumer<String> onText) {
      this.onText = onText;
    }

    /** Always true: goes on. */
    private boolean token(int id) {
      // The model may have more rows than the tokenizer has tokens; these spell nothing.
      if (id < tokenizer.vocabSize()) {
        add(decoder.push(id));
      }
      return true;
    }

    private void add(String part) {
      if (!part.isEmpty()) {
        text.append(part);
        onText.accept(part);
      }
    }

    private Continuation finish(int promptTokens, int tokens) {
      add(decoder.finish());
      return new Continuation(text.toString(), promptTokens, tokens);
    }
  }

  /** Frees the model. */
  @Override
  public void close() {
    model.close();
  }
}
