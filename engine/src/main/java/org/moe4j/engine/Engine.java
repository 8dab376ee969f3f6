package org.moe4j.engine;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntPredicate;
import java.util.function.Predicate;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.kernel.Workers;
import org.moe4j.engine.model.Cache;
import org.moe4j.engine.model.Forward;
import org.moe4j.engine.model.Shape;
import org.moe4j.engine.model.Step;
import org.moe4j.engine.model.Weights;
import org.moe4j.engine.text.Tokenizer;

/**
 * A model of a GGUF file, ready to run. Steps are taken one at a time, whichever threads ask.
 *
 * <pre>{@code
 * try (var model = Engine.open(Path.of("model.gguf"))) {
 *   model.generate("A sparse model", Sampling.GREEDY, System.out::print);
 * }
 * }</pre>
 */
public final class Engine implements AutoCloseable {
  private final GgufFile file;
  private final EngineOptions options;
  private final Arena arena;
  private final Workers workers;
  private final Weights weights;
  private final Forward forward;
  private final LazyTokenizer tokenizer;
  private boolean closed;

  private Engine(
      GgufFile file, EngineOptions options, Arena arena, Workers workers, Weights weights) {
    this.file = file;
    this.options = options;
    this.arena = arena;
    this.workers = workers;
    this.weights = weights;
    this.forward = new Forward(weights, workers);
    this.tokenizer = new LazyTokenizer(file, weights.shape().vocabulary());
  }

  /** {@link #open(Path, EngineOptions)} with {@link EngineOptions#DEFAULT}. */
  public static Engine open(Path path) {
    return open(path, EngineOptions.DEFAULT);
  }

  /**
   * Opens a GGUF file (of shards any) and packs its weights.
   *
   * @throws EngineException if it is damaged or of an architecture or type that is not known
   */
  public static Engine open(Path path, EngineOptions options) {
    GgufFile file = GgufFile.open(path);
    Arena arena = Arena.ofShared();
    Workers workers = new Workers(options.threads());
    try {
      Weights weights = Weights.load(file, arena, options.exact(), workers);
      return new Engine(file, options, arena, workers, weights);
    } catch (RuntimeException | Error e) {
      workers.close();
      arena.close();
      file.close();
      throw e;
    }
  }

  /** What the file says of itself. */
  public Metadata metadata() {
    return file.metadata();
  }

  /**
   * The tokenizer of the file.
   *
   * @throws EngineException if it has none, one that is not known, or one of more tokens than the
   *     model
   */
  public Tokenizer tokenizer() {
    return tokenizer.get();
  }

  /** Sizes of the model. */
  public Shape shape() {
    return weights.shape();
  }

  /** Begins an empty sequence. */
  public Sequence sequence() {
    return new Sequence(new Cache(shape()));
  }

  /**
   * Tokens to put behind a sequence.
   *
   * @param every whether the logits after each of them are wanted, else after the last alone
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Addition(Sequence sequence, int[] tokens, boolean every) {}

  /**
   * Puts tokens behind sequences, all in one pass through the model.
   *
   * @return the wanted logits, in the order of the additions and their tokens
   * @throws EngineException if a token is not in the vocabulary, a sequence would grow beyond the
   *     model's context or is named twice, or nothing is added to it
   */
  public synchronized float[][] step(List<Addition> additions) {
    if (closed) {
      throw new EngineException(file.path() + ": the model is closed");
    }
    for (int i = 0; i < additions.size(); i++) {
      check(additions.get(i));
      for (int j = 0; j < i; j++) {
        if (additions.get(i).sequence() == additions.get(j).sequence()) {
          throw new EngineException("a step adds to one sequence twice; put the tokens together");
        }
      }
    }
    return forward.run(
        new Step(
            additions.stream()
                .map(a -> new Step.Piece(a.sequence().cache(), a.tokens(), a.every()))
                .toList()));
  }

  private void check(Addition addition) {
    if (addition.tokens().length == 0) {
      throw new EngineException("no tokens are added to a sequence; a prompt needs at least one");
    }
    long length = (long) addition.sequence().length() + addition.tokens().length;
    if (length > shape().context()) {
      throw new EngineException(
          file.path()
              + ": "
              + length
              + " tokens do not fit into its context of "
              + shape().context()
              + "; shorten the prompt");
    }
    for (int token : addition.tokens()) {
      if (token < 0 || token >= shape().vocabulary()) {
        throw new EngineException(
            file.path()
                + ": token "
                + token
                + " is not in its vocabulary of "
                + shape().vocabulary());
      }
    }
  }

  /**
   * Puts a prompt of any length behind {@code sequence}, in pieces of {@link EngineOptions#batch}.
   *
   * @return the logits after its last token
   */
  public float[] prompt(Sequence sequence, int[] tokens) {
    check(new Addition(sequence, tokens, false));
    float[] logits = {};
    for (int from = 0; from < tokens.length; from += options.batch()) {
      int[] piece =
          Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + options.batch()));
      logits = step(List.of(new Addition(sequence, piece, false)))[0];
    }
    return logits;
  }

  /**
   * Continues {@code prompt}.
   *
   * @param each told of each new token; false ends the text after it
   * @return all new tokens; fewer than asked for if the context is full
   */
  public int[] generate(int[] prompt, Sampling how, IntPredicate each) {
    Sequence sequence = sequence();
    Sampler sampler = new Sampler(how);
    float[] logits = prompt(sequence, prompt);
    for (int token : prompt) {
      sampler.accept(token);
    }
    int[] made = new int[Math.min(how.tokens(), shape().context())];
    for (int n = 0; n < made.length; n++) {
      int token = sampler.next(logits);
      if (how.stop().contains(token)) {
        return Arrays.copyOf(made, n);
      }
      sampler.accept(token);
      made[n] = token;
      boolean last = n == made.length - 1 || sequence.length() == shape().context();
      if (!each.test(token) || last) {
        return Arrays.copyOf(made, n + 1);
      }
      logits = step(List.of(new Addition(sequence, new int[] {token}, false)))[0];
    }
    return made;
  }

  /**
   * Continues a text.
   *
   * @param prompt in which the spellings of special tokens are those tokens
   * @param each told of the text as it comes, in whole characters
   */
  public Completion generate(String prompt, Sampling how, Consumer<String> each) {
    return continueText(
        tokenizer().encodePrompt(prompt),
        how,
        part -> {
          if (!part.isEmpty()) {
            each.accept(part);
          }
          return true;
        });
  }

  /**
   * Continues a text of which the tokens are there.
   *
   * @param each told after every token of the whole characters that came, if any did; false ends
   *     the text
   */
  public Completion continueText(int[] prompt, Sampling how, Predicate<String> each) {
    return new TextGeneration(this, how, each).run(prompt);
  }

  /** Frees the model's memory; waits for a step that runs. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      workers.close();
      arena.close();
      file.close();
    }
  }
}
