package org.moe4j.engine;

import java.util.List;

/**
 * What became of a prompt.
 *
 * @param text that was made, without the prompt
 * @param tokens that were made
 * @param finish why no more were
 * @param logprobs of each of the tokens, if they were asked for
 * @param promptTokens tokens of the prompt
 * @param promptSeconds until the first token was known
 * @param seconds from beginning to end
 */
@SuppressWarnings("ArrayRecordComponent") // handed over, never compared
public record Completion(
    String text,
    int[] tokens,
    Finish finish,
    List<Logprobs> logprobs,
    int promptTokens,
    double promptSeconds,
    double seconds) {
  /** Why a text ended. */
  public enum Finish {
    /** The model ended it, or a stop token or text came. */
    STOP,
    /** As many tokens as were asked for, or as fit into the context. */
    LENGTH,
    /** The listener wanted no more. */
    CANCELLED
  }

  /** Tokens made per second after the first. */
  public double tokensPerSecond() {
    double time = seconds - promptSeconds;
    return tokens.length > 1 && time > 0 ? (tokens.length - 1) / time : 0;
  }
}
