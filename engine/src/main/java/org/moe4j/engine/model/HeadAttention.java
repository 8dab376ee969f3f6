package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.model.Layer.HeadWeights;

/** Attention with keys and values of their own for each head, or group of heads. */
final class HeadAttention {
  private final AttentionShape shape;
  private final float epsilon;
  private final boolean rotatesFirst;
  private final Products products;
  private final Rotary rotary;
  private final CachedAttention attention;
  private float[] q = {};
  private float[] k = {};
  private float[] v = {};

  HeadAttention(Shape model, Rotary rotary, Products products) {
    this.shape = model.attention();
    this.epsilon = model.epsilon();
    this.rotatesFirst = model.architecture().rotatesFirst();
    this.products = products;
    this.rotary = rotary;
    this.attention = new CachedAttention(shape, products);
  }

  private void reserve(int n) {
    if (v.length < n * shape.valueWidth()) {
      q = new float[n * shape.heads() * shape.keySize()];
      k = new float[n * shape.keyWidth()];
      v = new float[n * shape.valueWidth()];
    }
  }

  /** Stores keys and values of layer {@code index} and puts what the heads see into {@code to}. */
  void run(int index, HeadWeights w, Activations input, HiddenStates states, Activations to) {
    int n = states.count();
    reserve(n);
    products.multiply(input, n, List.of(w.query(), w.key(), w.value()), List.of(q, k, v));
    int queries = shape.heads() * shape.keySize();
    products.each(
        n,
        (t, worker) -> {
          prepare(q, t * queries, shape.heads(), w.queryNorm(), t);
          prepare(k, t * shape.keyWidth(), shape.keyHeads(), w.keyNorm(), t);
        });
    attention.store(index, states, k, shape.keyWidth(), v, shape.valueWidth());
    attention.run(
        index, states, q, w.sinks(), to.values(), (t, head) -> to.at(t) + head * shape.valueSize());
  }

  private void prepare(float[] rows, int at, int heads, Norm norm, int t) {
    if (rotatesFirst) {
      rotary.turn(rows, at, heads, shape.keySize(), t);
    }
    int width = heads * shape.keySize();
    for (int i = 0; norm.size() > 0 && i < width; i += norm.size()) {
      norm.apply(rows, at + i, epsilon, rows, at + i);
    }
    if (!rotatesFirst) {
      rotary.turn(rows, at, heads, shape.keySize(), t);
    }
  }
}
