package org.moe4j.models;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * What attention keeps of the tokens seen so far, for every layer ({@link AttentionConfig.Cached}):
 * keys and values, or the compressed vectors of latent attention, [B, heads, capacity, channels]
 * each, allocated once; and the tokens' ids, which routers may look at. Sequences of different
 * lengths are padded at the left. It lives until {@link #close}.
 */
public final class KvCache implements AutoCloseable {
  /** The keys and values of all tokens up to the newest: [B,heads,N,channels]. */
  record View(Tensor keys, Tensor values) {}

  private final List<View> layers = new ArrayList<>();
  private final Tensor ids;
  private final int capacity;
  private int length;
  private int[] pad = {};

  /** Room for {@code capacity} tokens of each of {@code batch} sequences. */
  public KvCache(DecoderConfig config, int batch, int capacity, DType dtype, Device device) {
    if (capacity > config.maxPositions()) {
      throw new MoeException(
          "a cache of "
              + capacity
              + " tokens: the model has max_positions "
              + config.maxPositions());
    }
    this.capacity = capacity;
    AttentionConfig.Cached kept = config.attention().cached();
    try (Scope scope = Scope.open()) {
      this.ids = Tensor.zeros(DType.I64, device, batch, capacity).keep();
      for (int i = 0; i < config.layers(); i++) {
        layers.add(
            new View(
                Tensor.zeros(dtype, device, batch, kept.heads(), capacity, kept.keys()).keep(),
                Tensor.zeros(dtype, device, batch, kept.heads(), capacity, kept.values()).keep()));
      }
    }
  }

  /** The number of tokens held of each sequence. */
  public int length() {
    return length;
  }

  /** The number of tokens there is room for. */
  public int capacity() {
    return capacity;
  }

  /** Forgets all tokens from {@code length} on. */
  public void truncate(int length) {
    if (length < 0 || length > this.length) {
      throw new IllegalArgumentException(length + " of " + this.length + " tokens");
    }
    this.length = length;
  }

  /** Adds S tokens to one layer, behind those every layer holds. */
  View append(int layer, Tensor keys, Tensor values) {
    long added = keys.size(2);
    if (length + added > capacity) {
      throw new MoeException(
          "the cache is full: " + (length + added) + " tokens, room for " + capacity);
    }
    View whole = layers.get(layer);
    try (NoGrad off = NoGrad.open()) {
      whole.keys().narrow(2, length, added).copyInPlace(keys);
      whole.values().narrow(2, length, added).copyInPlace(values);
    }
    return new View(
        whole.keys().narrow(2, 0, length + added), whole.values().narrow(2, 0, length + added));
  }

  /** Columns of padding at the left of each sequence; empty if there are none. */
  int[] pad() {
    return pad.clone();
  }

  /** Counts the tokens {@code added} [B,S] I64, which every layer has got. */
  void advance(Tensor added, Span span) {
    pad = span.pad();
    try (NoGrad off = NoGrad.open()) {
      ids.narrow(1, length, added.size(1)).copyInPlace(added);
    }
    length += (int) added.size(1);
  }

  /** The ids of all tokens held, [B,N] I64: a view. */
  Tensor ids() {
    return ids.narrow(1, 0, length);
  }

  /** Frees the memory. */
  @Override
  public void close() {
    ids.close();
    layers.forEach(
        v -> {
          v.keys().close();
          v.values().close();
        });
    layers.clear();
  }
}
