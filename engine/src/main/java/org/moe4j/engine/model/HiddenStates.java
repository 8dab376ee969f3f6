package org.moe4j.engine.model;

import org.moe4j.engine.gguf.Dequantise;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Activations;

/**
 * The tokens of a step on their way through the layers: the residual stream of each, and its place
 * in its sequence. Normalised rows of it are what products are made with.
 */
final class HiddenStates {
  private final Shape shape;
  private final Products products;
  private final Activations normalised;
  private int count;
  private Cache[] caches = {};
  private int[] positions = {};
  private float[] x = {};

  HiddenStates(Shape shape, Products products) {
    this.shape = shape;
    this.products = products;
    this.normalised = new Activations(shape.width());
  }

  /** Makes the caches of a step longer and looks its tokens up. */
  void embed(Step step, GgufTensor embedding) {
    count = step.tokens();
    if (positions.length < count) {
      caches = new Cache[count];
      positions = new int[count];
      x = new float[count * shape.width()];
      normalised.reserve(count);
    }
    int at = 0;
    for (Step.Piece piece : step.pieces()) {
      int from = piece.cache().length();
      piece.cache().grow(from + piece.tokens().length);
      for (int i = 0; i < piece.tokens().length; i++) {
        caches[at] = piece.cache();
        positions[at] = from + i;
        Dequantise.row(
            embedding.type(),
            embedding.data(),
            piece.tokens()[i] * embedding.rowBytes(),
            shape.width(),
            x,
            at * shape.width());
        at++;
      }
    }
  }

  /** How many tokens. */
  int count() {
    return count;
  }

  Cache cache(int t) {
    return caches[t];
  }

  /** Of tokens in their sequences. */
  int[] positions() {
    return positions;
  }

  /** All tokens normalised. */
  Activations normalised(float[] scales) {
    products.each(count, (t, worker) -> normalise(t, scales, t));
    return normalised;
  }

  /** The tokens of these indices alone, normalised, in rows 0 and following. */
  Activations normalised(float[] scales, int[] tokens) {
    for (int i = 0; i < tokens.length; i++) {
      normalise(tokens[i], scales, i);
    }
    return normalised;
  }

  private void normalise(int t, float[] scales, int row) {
    int to = normalised.at(row);
    Norm.rms(x, t * shape.width(), scales, shape.epsilon(), normalised.values(), to);
    normalised.quantise(row);
  }

  /** Adds row {@code t} of {@code rows} to token {@code t}. */
  void add(int t, float[] rows) {
    for (int i = t * shape.width(); i < (t + 1) * shape.width(); i++) {
      x[i] += rows[i];
    }
  }
}
