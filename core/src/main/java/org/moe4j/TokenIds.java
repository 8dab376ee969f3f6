package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** The vocabulary ids of a context, checked. */
final class TokenIds {
  /** Stands where there is no token: padding, or beyond either end of a text. */
  static final long NONE = -1;

  private TokenIds() {}

  /**
   * The id of every token [T], {@link #NONE} for padding.
   *
   * @param router for messages
   * @param vocab ids are below it
   * @throws MoeException if there are no ids, or one is outside the vocabulary
   */
  static long[] of(TokenContext context, String router, int vocab) {
    Tensor ids =
        context
            .ids()
            .orElseThrow(
                () ->
                    new MoeException(
                        "layer "
                            + context.layer()
                            + ": router \""
                            + router
                            + "\" reads token ids, and the context has none; give them with"
                            + " withIds"));
    long[] values = ids.toLongs();
    byte[] real = context.padding().map(Tensor::toBytes).orElse(new byte[0]);
    for (int t = 0; t < values.length; t++) {
      if (real.length > 0 && real[t] == 0) {
        values[t] = NONE;
      } else {
        check(values[t], "token " + t, context, router, vocab);
      }
    }
    return values;
  }

  /** The ids of the tokens before these, [B * P]; empty if there are none. */
  static long[] left(TokenContext context, String router, int vocab) {
    long[] values = context.left().map(Tensor::toLongs).orElse(new long[0]);
    for (long id : values) {
      check(id, "a token before", context, router, vocab);
    }
    return values;
  }

  private static void check(long id, String where, TokenContext context, String router, int vocab) {
    if (id < 0 || id >= vocab) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": "
              + where
              + " has the id "
              + id
              + "; router \""
              + router
              + "\" was made for a vocabulary of "
              + vocab
              + " (option vocab)");
    }
  }

  /**
   * Refuses a configuration whose router was not told the vocabulary.
   *
   * @return V
   */
  static int vocab(MoeConfig config, Options options) {
    int vocab = options.whole("vocab");
    if (vocab < 1) {
      throw new MoeException(
          "router \""
              + config.router()
              + "\" needs the size of the vocabulary; set its option vocab (a model that knows its"
              + " vocabulary sets it)");
    }
    return vocab;
  }

  /** The option that says the vocabulary's size. */
  static OptionKey vocabKey() {
    return OptionKey.whole("vocab", 0, "tokens of the vocabulary; a decoder sets it");
  }
}
