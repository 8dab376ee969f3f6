package org.moe4j.engine.model;

import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.gguf.Dequantise;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Rows;

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
      piece.cache().grow(piece.tokens());
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
    float scale = shape.scales().embedding();
    for (int i = 0; scale != 1 && i < count * shape.width(); i++) {
      x[i] *= scale;
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
  Activations normalised(Norm norm) {
    products.each(count, (t, worker) -> normalise(t, norm, t));
    return normalised;
  }

  /** The tokens of these indices alone, normalised, in rows 0 and following. */
  Activations normalised(Norm norm, int[] tokens) {
    for (int i = 0; i < tokens.length; i++) {
      normalise(tokens[i], norm, i);
    }
    return normalised;
  }

  private void normalise(int t, Norm norm, int row) {
    normalise(t, norm, normalised, row);
  }

  /** Token {@code t} normalised into a row of {@code rows}. */
  void normalise(int t, Norm norm, Activations rows, int row) {
    norm.apply(x, t * shape.width(), shape.epsilon(), rows.values(), rows.at(row));
    rows.quantise(row);
  }

  /** Adds row {@code t} of {@code rows} to token {@code t}. */
  void add(int t, float[] rows) {
    int at = t * shape.width();
    Rows.add(x, at, shape.scales().residual(), rows, at, shape.width());
  }
}
