package org.moe4j.engine;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.IntPredicate;
import java.util.function.Predicate;
import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.cache.CacheStatistics;
import org.moe4j.engine.cache.PagePool;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.kernel.Workers;
import org.moe4j.engine.model.Forward;
import org.moe4j.engine.model.Shape;
import org.moe4j.engine.model.Step;
import org.moe4j.engine.model.Weights;
import org.moe4j.engine.offload.ExpertStore;
import org.moe4j.engine.offload.OffloadStatistics;
import org.moe4j.engine.plan.MemoryPlan;
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
  private final PagePool pool;
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
    this.pool =
        new PagePool(
            weights.shape().pages(options.cacheType()), options.cacheBytes(), options.keptBytes());
  }

  /** The JVM's way to say that mapped memory has no file behind it any more. */
  private static EngineException unreadable(Path path, InternalError e) {
    return new EngineException(
        path + ": was truncated or cannot be read any more; open it anew", e);
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
      return open(file, options, arena, workers);
    } catch (RuntimeException | Error e) {
      workers.close();
      arena.close();
      file.close();
      if (e instanceof InternalError fault) {
        throw unreadable(path, fault);
      }
      throw e;
    }
  }

  private static Engine open(GgufFile file, EngineOptions options, Arena arena, Workers workers) {
    if (options.memory() == Long.MAX_VALUE) {
      Weights weights = Weights.load(file, arena, options.exact(), workers);
      return checked(new Engine(file, options, arena, workers, weights));
    }
    MemoryPlan plan = MemoryPlan.of(file, options);
    EngineOptions planned =
        options.withCache(plan.cache(), Math.min(plan.cache(), options.keptBytes()));
    if (plan.offload().isEmpty()) {
      return open(file, planned.withMemory(Long.MAX_VALUE), arena, workers);
    }
    Packing packing = new Packing(arena, options.exact(), file::copy);
    Weights weights =
        Weights.load(
            file,
            packing,
            workers,
            stored -> ExpertStore.open(file, stored, plan.offload().get(), packing, arena));
    try {
      return checked(new Engine(file, planned, arena, workers, weights));
    } catch (RuntimeException | Error e) {
      weights.experts().close();
      throw e;
    }
  }

  private static Engine checked(Engine engine) {
    engine.file.checkUnchanged();
    return engine;
  }

  /** What was read of experts that stay on disk; nothing if all are in memory. */
  public OffloadStatistics offloadStatistics() {
    return weights.experts() instanceof ExpertStore store
        ? store.statistics()
        : OffloadStatistics.NONE;
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

  /** What keys and values take, and what was found of prompts. */
  public CacheStatistics cacheStatistics() {
    return pool.statistics();
  }

  /** Begins an empty sequence; close it when it is done. */
  public Sequence sequence() {
    return new Sequence(this, new Cache(pool));
  }

  /** Begins to continue many texts together. */
  public Batch batch(BatchOptions limits) {
    return new Batch(this, limits);
  }

  /** See {@link Cache#begin}. */
  synchronized boolean begin(Sequence sequence, int[] prompt, int positions) {
    checkOpen();
    return sequence.cache().begin(prompt, positions);
  }

  /** Refuses a sequence for which there is no memory even if it is the only one. */
  void checkFits(int positions) {
    if (!pool.fits(positions)) {
      throw new EngineException(
          file.path()
              + ": "
              + positions
              + " tokens take "
              + pool.bytes(positions)
              + " bytes of keys and values, more than the "
              + options.cacheBytes()
              + " there are for all; ask for fewer tokens or give more");
    }
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
    checkOpen();
    for (int i = 0; i < additions.size(); i++) {
      check(additions.get(i));
      for (int j = 0; j < i; j++) {
        if (additions.get(i).sequence() == additions.get(j).sequence()) {
          throw new EngineException("a step adds to one sequence twice; put the tokens together");
        }
      }
    }
    for (Addition a : additions) {
      reserve(a);
    }
    int[] lengths = additions.stream().mapToInt(a -> a.sequence().length()).toArray();
    List<Outcome> outcomes = run(additions);
    for (Outcome outcome : outcomes) {
      if (outcome.failure().isPresent()) {
        undo(additions, lengths);
        throw outcome.failure().get();
      }
    }
    return outcomes.stream().flatMap(o -> o.logits().stream()).toArray(float[][]::new);
  }

  private void checkOpen() {
    if (closed) {
      throw new EngineException(file.path() + ": the model is closed");
    }
  }

  private static void undo(List<Addition> additions, int[] lengths) {
    for (int i = 0; i < lengths.length; i++) {
      additions.get(i).sequence().cache().truncate(lengths[i]);
    }
  }

  private void reserve(Addition a) {
    int length = a.sequence().length() + a.tokens().length;
    if (!a.sequence().cache().reserve(length)) {
      throw new EngineException(
          file.path()
              + ": "
              + options.cacheBytes()
              + " bytes for keys and values are used up, and a sequence of "
              + length
              + " tokens takes "
              + pool.bytes(length)
              + "; close other sequences or give more");
    }
  }

  /**
   * What became of an addition.
   *
   * @param logits those that were wanted, if nothing failed
   */
  record Outcome(List<float[]> logits, Optional<EngineException> failure) {}

  /**
   * A step whose additions are in order and have their memory. A sequence whose numbers go bad is
   * as it was before; the others go on. If the step itself fails, all are as they were.
   */
  synchronized List<Outcome> run(List<Addition> additions) {
    checkOpen();
    int[] lengths = additions.stream().mapToInt(a -> a.sequence().length()).toArray();
    List<Outcome> outcomes = new ArrayList<>();
    try {
      file.checkUnchanged();
      float[][] logits = forward.run(pass(additions));
      file.checkUnchanged(); // weights may have been read just now
      int at = 0;
      for (Addition a : additions) {
        int count = a.every() ? a.tokens().length : 1;
        outcomes.add(outcome(a, List.of(logits).subList(at, at + count)));
        at += count;
      }
      return outcomes;
    } catch (InternalError e) {
      throw unreadable(file.path(), e);
    } finally {
      for (int i = 0; i < lengths.length; i++) {
        Cache cache = additions.get(i).sequence().cache();
        if (i < outcomes.size() && outcomes.get(i).failure().isEmpty()) {
          cache.publish();
        } else {
          cache.truncate(lengths[i]);
        }
      }
    }
  }

  private static Step pass(List<Addition> additions) {
    return new Step(
        additions.stream()
            .map(a -> new Step.Piece(a.sequence().cache(), a.tokens(), a.every()))
            .toList());
  }

  private Outcome outcome(Addition a, List<float[]> logits) {
    Optional<String> damage = a.sequence().cache().damage();
    boolean finite = logits.stream().allMatch(Engine::finite);
    if (damage.isEmpty() && finite) {
      return new Outcome(logits, Optional.empty());
    }
    String what = damage.orElse("logits are not finite numbers");
    return new Outcome(
        List.of(),
        Optional.of(
            new EngineException(
                file.path() + ": " + what + "; its weights are damaged or too large")));
  }

  private static boolean finite(float[] logits) {
    int most = 0;
    for (float x : logits) {
      most = Math.max(most, Float.floatToRawIntBits(x) & Integer.MAX_VALUE);
    }
    return most < Float.floatToRawIntBits(Float.POSITIVE_INFINITY);
  }

  private void check(Addition addition) {
    checkTokens(addition.sequence().length(), addition.tokens());
  }

  /** Refuses tokens that cannot stand behind {@code before} others. */
  void checkTokens(int before, int[] tokens) {
    if (tokens.length == 0) {
      throw new EngineException("there are no tokens to read; a prompt needs at least one");
    }
    long length = (long) before + tokens.length;
    if (length > shape().context()) {
      throw new EngineException(
          file.path()
              + ": "
              + length
              + " tokens do not fit into its context of "
              + shape().context()
              + "; shorten the prompt");
    }
    for (int token : tokens) {
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
   * An empty sequence takes over what is kept of the prompt.
   *
   * @return the logits after its last token
   */
  public float[] prompt(Sequence sequence, int[] tokens) {
    Addition all = new Addition(sequence, tokens, false);
    int before = sequence.length();
    synchronized (this) {
      checkOpen();
      check(all);
      if (before == 0) {
        sequence.cache().begin(tokens, tokens.length);
      }
      reserve(all);
    }
    try {
      return rest(sequence, tokens, sequence.length() - before);
    } catch (EngineException e) {
      sequence.truncate(before);
      throw e;
    }
  }

  private float[] rest(Sequence sequence, int[] tokens, int done) {
    float[] logits = {};
    for (int from = done; from < tokens.length; from += options.batch()) {
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
    try (Sequence sequence = sequence()) {
      return generate(sequence, prompt, how, each);
    }
  }

  private int[] generate(Sequence sequence, int[] prompt, Sampling how, IntPredicate each) {
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
    return new TextGeneration(this, how).one(prompt, each);
  }

  /** Continues several texts side by side; each becomes the same as if alone. */
  public List<Completion> generate(List<String> prompts, Sampling how) {
    return new TextGeneration(this, how)
        .all(prompts.stream().map(tokenizer()::encodePrompt).toList());
  }

  /** Frees the model's memory; waits for a step that runs. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      workers.close();
      weights.experts().close();
      pool.close();
      arena.close();
      file.close();
    }
  }
}
