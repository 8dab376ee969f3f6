package org.moe4j.engine.model;

import java.util.List;
import java.util.Optional;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.model.Layer.HeadWeights;
import org.moe4j.engine.model.Layer.LatentWeights;

/** Attention of each token to its own sequence, of one layer after the other. */
final class AttentionBlock {
  private final Shape shape;
  private final Products products;
  private final HeadAttention heads;
  private final Optional<LatentAttention> latent;
  private final Activations attended;
  private float[] out = {};

  AttentionBlock(Shape shape, Rotary rotary, Products products) {
    this.shape = shape;
    this.products = products;
    AttentionShape a = shape.attention();
    this.heads = new HeadAttention(shape, rotary, products);
    this.latent = a.latent().map(l -> new LatentAttention(a, l, shape.epsilon(), rotary, products));
    this.attended = new Activations(a.outputWidth());
  }

  /** Stores keys and values of layer {@code index} and adds what the tokens see. */
  void run(int index, Layer layer, HiddenStates states) {
    int n = states.count();
    if (out.length < n * shape.width()) {
      out = new float[n * shape.width()];
      attended.reserve(n);
    }
    Activations input = states.normalised(layer.attentionNorm());
    switch (layer.attention()) {
      case HeadWeights w -> heads.run(index, w, input, states, attended);
      case LatentWeights w -> latent.orElseThrow().run(index, w, input, states, attended);
    }
    products.each(n, (t, worker) -> attended.quantise(t));
    products.multiply(attended, n, List.of(layer.attention().output()), List.of(out));
    products.each(n, (t, worker) -> states.add(t, out));
  }
}
