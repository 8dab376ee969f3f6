package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.List;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Attention;

/** Attention of each token to its own sequence, of one layer after the other. */
final class AttentionBlock {
  private final Shape shape;
  private final Products products;
  private final Rotary rotary;
  private final Activations attended;
  private final float[][] scores;
  private float[] q = {};
  private float[] k = {};
  private float[] v = {};
  private float[] out = {};

  AttentionBlock(Shape shape, Rotary rotary, Products products) {
    this.shape = shape;
    this.products = products;
    this.rotary = rotary;
    this.attended = new Activations(shape.queryWidth());
    this.scores = new float[products.workers().count()][0];
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
    for (int t = 0; t < n; t++) {
      states.cache(t).store(index, states.positions()[t], k, v, t * shape.keyWidth());
    }
    products
        .workers()
        .run(
            n * shape.heads(),
            (job, worker) -> {
              int t = job / shape.heads();
              Cache cache = states.cache(t);
              head(cache, index, states.positions()[t] + 1, t, job % shape.heads(), worker);
            });
    products.each(n, (t, worker) -> attended.quantise(t));
    products.multiply(attended, n, List.of(layer.output()), List.of(out));
    products.each(n, (t, worker) -> states.add(t, out));
  }

  private void headNorm(float[] rows, int at, int width, float[] scales) {
    for (int i = 0; scales.length > 0 && i < width; i += scales.length) {
      Norm.rms(rows, at + i, scales, shape.epsilon(), rows, at + i);
    }
  }

  /** One head of one token over the first {@code count} positions. */
  private void head(Cache cache, int layer, int count, int t, int head, int worker) {
    int keyHead = head / (shape.heads() / shape.keyHeads());
    int pages = Math.ceilDiv(count, Attention.PAGE);
    int half = cache.half();
    int needed = pages * Attention.PAGE + 2 * half;
    if (scores[worker].length < needed) {
      scores[worker] = new float[needed * 2];
    }
    float[] s = scores[worker];
    for (int page = 0; page < pages; page++) {
      Attention.scores(
          cache.keys(layer, page),
          keyHead * cache.keyInts(),
          q,
          t * shape.queryWidth() + head * shape.headSize(),
          shape.headSize(),
          s,
          page * Attention.PAGE);
    }
    float scale = (float) (1 / Math.sqrt(shape.headSize()));
    float sum = Attention.exponentials(s, count, scale);
    int sums = pages * Attention.PAGE;
    Arrays.fill(s, sums, sums + 2 * half, 0f);
    for (int page = 0; page < pages; page++) {
      Attention.values(
          cache.values(layer, page),
          keyHead * half,
          cache.valueStride(),
          half,
          s,
          page * Attention.PAGE,
          Math.min(Attention.PAGE, count - page * Attention.PAGE),
          s,
          sums);
    }
    int to = attended.at(t) + head * shape.headSize();
    for (int d = 0; d < shape.headSize(); d++) {
      attended.values()[to + d] = s[sums + d] / sum;
    }
  }
}
