package org.moe4j.train.data;

import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/**
 * The baseline a language model has to beat: the next byte (or the end of the text) from the last
 * {@code order} bytes, by counting. The orders are interpolated as in Witten and Bell, "The
 * Zero-Frequency Problem" (IEEE Transactions on Information Theory 37(4), 1991): a context seen n
 * times with t different successors gives
 *
 * <pre>p(s | context) = (count(s) + t * p(s | shorter context)) / (n + t)</pre>
 *
 * down to the uniform distribution over the 257 symbols. No weight is to be tuned, and the
 * probabilities of all symbols sum to 1 in every context. A text begins in the context of ends.
 */
public final class ByteModel {
  /** The symbols: 256 bytes, and 256 for the end of a text. */
  public static final int SYMBOLS = 257;

  private static final int HIGHEST_ORDER = 2;

  private static final class Successors {
    private final int[] counts = new int[SYMBOLS];
    private long total;
    private int different;
  }

  /** By order, then by the context's symbols as a number to the base 257. */
  private final @Nullable Successors[][] contexts;

  private ByteModel(int order) {
    if (order < 0 || order > HIGHEST_ORDER) {
      throw new MoeException("byte model of order " + order + ": the order is 0, 1 or 2");
    }
    contexts = new @Nullable Successors[order + 1][];
    for (int o = 0, size = 1; o <= order; o++, size *= SYMBOLS) {
      contexts[o] = new @Nullable Successors[size];
    }
  }

  /** The model of {@code order} 0, 1 or 2 that counted all of {@code stream}. */
  public static ByteModel train(int order, TokenStream stream) {
    ByteModel model = new ByteModel(order);
    int[] last = {TokenStream.END * SYMBOLS + TokenStream.END};
    stream.bytes(
        1,
        stream.size(),
        symbol -> {
          model.count(last[0], symbol);
          last[0] = shift(last[0], symbol);
        });
    return model;
  }

  /**
   * The probability of {@code symbol} after {@code second}, {@code first} (the nearer one); 256
   * stands for the end of a text. Lower orders disregard the farther ones.
   */
  public double probability(int second, int first, int symbol) {
    return probability(second * SYMBOLS + first, symbol);
  }

  /**
   * Bits per byte on exactly what a language model is scored on: the bytes of the set's targets and
   * the ends of its texts, divided by {@link ValidationSet#bytes()}.
   */
  public double bitsPerByte(ValidationSet validation) {
    double[] nats = {0};
    int[] last = {TokenStream.END * SYMBOLS + TokenStream.END};
    validation.bytes(
        symbol -> {
          nats[0] -= Math.log(probability(last[0], symbol));
          last[0] = shift(last[0], symbol);
        });
    return validation.bitsPerByte(nats[0]);
  }

  private void count(int last, int symbol) {
    for (@Nullable Successors[] order : contexts) {
      int context = last % order.length;
      Successors successors = order[context];
      if (successors == null) {
        successors = new Successors();
        order[context] = successors;
      }
      if (successors.counts[symbol]++ == 0) {
        successors.different++;
      }
      successors.total++;
    }
  }

  private double probability(int last, int symbol) {
    double probability = 1.0 / SYMBOLS;
    for (@Nullable Successors[] order : contexts) {
      Successors seen = order[last % order.length];
      if (seen != null) {
        probability =
            (seen.counts[symbol] + seen.different * probability) / (seen.total + seen.different);
      }
    }
    return probability;
  }

  /** The last two symbols; a text's end is followed by one that knows nothing before it. */
  private static int shift(int last, int symbol) {
    int previous = symbol == TokenStream.END ? TokenStream.END : last % SYMBOLS;
    return previous * SYMBOLS + symbol;
  }
}
