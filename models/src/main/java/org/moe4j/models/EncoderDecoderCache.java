package org.moe4j.models;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * What a decoder keeps between its tokens: the keys and values of its own tokens so far, and those
 * of the encoder's output, computed once. It lives until {@link #close}.
 */
final class EncoderDecoderCache implements AutoCloseable {
  private final List<T5Attention.KeysValues> own = new ArrayList<>();
  private final List<T5Attention.KeysValues> encoded = new ArrayList<>();
  private final Optional<Tensor> mask;
  private final int capacity;
  private int length;

  /**
   * Room for {@code capacity} tokens behind each of the encoded texts.
   *
   * @param mask added to the scores of the attention to the texts
   */
  EncoderDecoderCache(
      EncoderDecoderConfig config,
      List<T5Block> blocks,
      Tensor encoding,
      Optional<Tensor> mask,
      int capacity) {
    this.capacity = capacity;
    this.mask = mask.map(Tensor::keep);
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      for (T5Block block : blocks) {
        encoded.add(kept(block.crossKeysValues(encoding)));
        long[] shape = {encoding.size(0), config.heads(), capacity, config.headDim()};
        own.add(
            kept(
                new T5Attention.KeysValues(
                    Tensor.zeros(encoding.dtype(), encoding.device(), shape),
                    Tensor.zeros(encoding.dtype(), encoding.device(), shape))));
      }
    }
  }

  private static T5Attention.KeysValues kept(T5Attention.KeysValues made) {
    return new T5Attention.KeysValues(
        made.keys().contiguous().keep(), made.values().contiguous().keep());
  }

  /** Decoder tokens held of each sequence. */
  int length() {
    return length;
  }

  /** Adds S tokens to one block, behind those every block holds; all of them are returned. */
  T5Attention.KeysValues append(int block, T5Attention.KeysValues added) {
    long n = added.keys().size(2);
    if (length + n > capacity) {
      throw new MoeException(
          "the cache is full: " + (length + n) + " tokens, room for " + capacity);
    }
    T5Attention.KeysValues all = own.get(block);
    try (NoGrad off = NoGrad.open()) {
      all.keys().narrow(2, length, n).copyInPlace(added.keys());
      all.values().narrow(2, length, n).copyInPlace(added.values());
    }
    return new T5Attention.KeysValues(
        all.keys().narrow(2, 0, length + n), all.values().narrow(2, 0, length + n));
  }

  /** Counts {@code n} tokens, which every block has got. */
  void advance(long n) {
    length += Math.toIntExact(n);
  }

  /** Keys and values of the texts in one block. */
  T5Attention.KeysValues encoded(int block) {
    return encoded.get(block);
  }

  /** Added to the scores of the attention to the texts; absent if all of them is seen. */
  Optional<Tensor> mask() {
    return mask;
  }

  @Override
  public void close() {
    for (List<T5Attention.KeysValues> part : List.of(own, encoded)) {
      part.forEach(
          kv -> {
            kv.keys().close();
            kv.values().close();
          });
      part.clear();
    }
    mask.ifPresent(Tensor::close);
  }
}
