package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.kernel.Activations;

/** Attention of each token to its own sequence, of one layer after the other. */
final class AttentionBlock {
  private final Shape shape;
  private final Products products;
  private final Rotary rotary;
  private final Activations attended;
  private final PagedAttention attention;
  private final PagedAttention.View view;
  private float[] q = {};
  private float[] k = {};
  private float[] v = {};
  private float[] out = {};

  AttentionBlock(Shape shape, Rotary rotary, Products products) {
    this.shape = shape;
    this.products = products;
    this.rotary = rotary;
    this.attended = new Activations(shape.queryWidth());
    this.attention =
        new PagedAttention(
            shape.heads(),
            shape.keyHeads(),
            shape.headSize(),
            shape.headSize(),
            products.workers());
    float scale = (float) (1 / Math.sqrt(shape.headSize()));
    this.view = new PagedAttention.View(scale, 0, new float[0]);
  }

  private void reserve(int n) {
    if (out.length < n * shape.width()) {
      q = new float[n * shape.queryWidth()];
      k = new float[n * shape.keyWidth()];
      v = new float[n * shape.keyWidth()];
      out = new float[n * shape.width()];
      attended.reserve(n);
    }
  }

  /** Stores keys and values of layer {@code index} and adds what the tokens see. */
  void run(int index, Layer layer, HiddenStates states) {
    int n = states.count();
    reserve(n);
    Activations input = states.normalised(layer.attentionNorm());
    products.multiply(
        input, n, List.of(layer.query(), layer.key(), layer.value()), List.of(q, k, v));
    products.each(
        n,
        (t, worker) -> {
          headNorm(q, t * shape.queryWidth(), shape.queryWidth(), layer.queryNorm());
          headNorm(k, t * shape.keyWidth(), shape.keyWidth(), layer.keyNorm());
          rotary.turn(q, t * shape.queryWidth(), shape.heads(), t);
          rotary.turn(k, t * shape.keyWidth(), shape.keyHeads(), t);
        });
    attention.store(index, states, k, v);
    attention.run(index, states, view, q, attended);
    products.each(n, (t, worker) -> attended.quantise(t));
    products.multiply(attended, n, List.of(layer.output()), List.of(out));
    products.each(n, (t, worker) -> states.add(t, out));
  }

  private void headNorm(float[] rows, int at, int width, float[] scales) {
    for (int i = 0; scales.length > 0 && i < width; i += scales.length) {
      Norm.rms(rows, at + i, scales, shape.epsilon(), rows, at + i);
    }
  }
}
