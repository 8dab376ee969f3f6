package org.moe4j.models.gguf;

import java.util.function.UnaryOperator;
import org.moe4j.models.RopeConfig;
import org.moe4j.tensor.Tensor;

/**
 * The order of a head's channels for rotary embedding: it pairs channel 2i with 2i + 1 in some
 * architectures and i with i + half in others, whatever the decoder's own pairs are. Queries and
 * keys in another order give the same scores.
 */
enum Pairing {
  /** As they are. */
  SAME,
  /** Pairs of the two halves become neighbours. */
  TO_NEIGHBOURS,
  /** Neighbours become pairs of the two halves. */
  TO_HALVES;

  /** What a decoder's channels need for an architecture that pairs neighbours or halves. */
  static Pairing of(RopeConfig rope, boolean neighbours) {
    if (rope.interleaved() == neighbours) {
      return SAME;
    }
    return neighbours ? TO_NEIGHBOURS : TO_HALVES;
  }

  /** Reorders the rows of {@code heads} heads; the elements are those of the new order. */
  UnaryOperator<Tensor> rows(long heads) {
    return switch (this) {
      case SAME -> UnaryOperator.identity();
      case TO_NEIGHBOURS -> w -> split(w, heads, 2, w.size(0) / heads / 2);
      case TO_HALVES -> w -> split(w, heads, w.size(0) / heads / 2, 2);
    };
  }

  private static Tensor split(Tensor w, long heads, long outer, long inner) {
    long rest = w.numel() / w.size(0);
    return w.view(heads, outer, inner, rest).transpose(1, 2);
  }
}
