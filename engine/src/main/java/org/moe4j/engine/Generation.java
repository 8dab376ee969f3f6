package org.moe4j.engine;

import java.util.Arrays;
import java.util.Optional;

/** A text of a {@link Batch}. Its methods are for any thread. */
public final class Generation {
  /** Why a text ended. */
  public enum End {
    /** A stop token came. */
    STOP,
    /** As many tokens as were asked for, or as fit into the context. */
    LENGTH,
    /** The listener wanted no more. */
    LISTENER,
    /** {@link #cancel} or {@link Batch#close}. */
    CANCELLED,
    /** See {@link #failure}. */
    FAILED
  }

  /** Is told how a text goes on, by the thread that steps. What it throws ends this text alone. */
  public interface Listener {
    /**
     * A new token.
     *
     * @param logits that it was chosen by
     * @return false to end the text behind it
     */
    boolean token(int token, float[] logits);

    /** The text has ended; nothing follows. */
    void end(Generation text);
  }

  final int[] prompt;
  final int mostTokens;
  final Listener listener;
  final Sampler sampler;
  private final Runnable wake;
  private volatile boolean cancelled;
  private volatile int made;
  private volatile int reused;
  private volatile Optional<End> end = Optional.empty();
  private volatile Optional<EngineException> failure = Optional.empty();

  /** Tokens that are not yet in the sequence; guarded by the batch's step. */
  int[] pending;

  /** When it last took part in a step; guarded by the batch's step. */
  long served;

  Generation(int[] prompt, int mostTokens, Sampling how, Listener listener, Runnable wake) {
    this.prompt = prompt;
    this.mostTokens = mostTokens;
    this.listener = listener;
    this.sampler = new Sampler(how);
    this.wake = wake;
    this.pending = prompt;
  }

  /** Ends it within a step; no token is told from now on but one that is being told. */
  public void cancel() {
    cancelled = true;
    wake.run();
  }

  boolean cancelled() {
    return cancelled;
  }

  /** True while its prompt is being read. */
  boolean reading() {
    return made == 0;
  }

  /** Tokens of its prompt. */
  public int promptTokens() {
    return prompt.length;
  }

  /** Tokens of its prompt that needed no computing. */
  public int reusedTokens() {
    return reused;
  }

  /** Tokens made so far. */
  public int madeTokens() {
    return made;
  }

  /** Why it ended, if it has. */
  public Optional<End> end() {
    return end;
  }

  /** What went wrong, if it failed. */
  public Optional<EngineException> failure() {
    return failure;
  }

  /** The batch took it in, with so many tokens of its prompt already there. */
  void begin(int tokens) {
    reused = tokens;
    pending = Arrays.copyOfRange(prompt, tokens, prompt.length);
    for (int token : prompt) {
      sampler.accept(token);
    }
  }

  /**
   * Chooses a token and tells of it.
   *
   * @return why the text ends here, if it does
   */
  Optional<End> next(float[] logits, Sampling how) {
    int token = sampler.next(logits);
    if (how.stop().contains(token)) {
      return Optional.of(End.STOP);
    }
    sampler.accept(token);
    pending = new int[] {token};
    int count = made + 1;
    made = count;
    if (!listener.token(token, logits)) {
      return Optional.of(End.LISTENER);
    }
    return count == mostTokens ? Optional.of(End.LENGTH) : Optional.empty();
  }

  void finish(End how, Optional<EngineException> why) {
    failure = why;
    end = Optional.of(how);
    listener.end(this);
  }
}
