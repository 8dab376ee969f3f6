package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.function.IntBinaryOperator;
import org.moe4j.engine.kernel.Attention;

/** Softmax attention of a step's queries to the keys and values that are cached. */
final class CachedAttention {
  private final AttentionShape shape;
  private final Products products;
  private final float[][] scores;

  CachedAttention(AttentionShape shape, Products products) {
    this.shape = shape;
    this.products = products;
    this.scores = new float[products.workers().count()][0];
  }

  /**
   * Attention of all heads of all tokens.
   *
   * @param queries of each token all heads
   * @param sinks of each head a logit that takes part in the softmax without a value; or none
   * @param to receives a value for each token and head
   * @param place where in {@code to} it begins
   */
  void run(
      int layer,
      HiddenStates states,
      float[] queries,
      float[] sinks,
      float[] to,
      IntBinaryOperator place) {
    products
        .workers()
        .run(
            states.count() * shape.heads(),
            (job, worker) -> {
              int t = job / shape.heads();
              int head = job % shape.heads();
              float sink = sinks.length == 0 ? Float.NEGATIVE_INFINITY : sinks[head];
              head(
                  layer,
                  states.cache(t),
                  states.positions()[t],
                  head / (shape.heads() / shape.keyHeads()),
                  queries,
                  job * shape.keySize(),
                  sink,
                  worker);
              int sums = scores[worker].length - 2 * states.cache(t).half();
              System.arraycopy(
                  scores[worker], sums, to, place.applyAsInt(t, head), shape.valueSize());
            });
  }

  /** One head of one token; the result lies at the end of the worker's scores. */
  private void head(
      int layer,
      Cache cache,
      int position,
      int keyHead,
      float[] queries,
      int query,
      float sink,
      int worker) {
    int first = shape.first(layer, position);
    int firstPage = first / Attention.PAGE;
    int pages = position / Attention.PAGE + 1 - firstPage;
    int half = cache.half();
    int needed = pages * Attention.PAGE + 2 * half;
    if (scores[worker].length < needed) {
      scores[worker] = new float[needed * 2];
    }
    float[] s = scores[worker];
    for (int page = 0; page < pages; page++) {
      Attention.scores(
          cache.keys(layer, firstPage + page),
          keyHead * cache.keyInts(),
          queries,
          query,
          shape.keySize(),
          s,
          page * Attention.PAGE);
    }
    int count = position + 1 - firstPage * Attention.PAGE;
    // far below any score: its power of e is lost when it is added
    Arrays.fill(s, 0, first - firstPage * Attention.PAGE, -1e30f);
    float sum = Attention.exponentials(s, count, shape.scale(), sink);
    int sums = s.length - 2 * half;
    Arrays.fill(s, sums, s.length, 0f);
    for (int page = 0; page < pages; page++) {
      Attention.values(
          cache.values(layer, firstPage + page),
          keyHead * half,
          cache.valueStride(),
          half,
          s,
          page * Attention.PAGE,
          Math.min(Attention.PAGE, count - page * Attention.PAGE),
          s,
          sums);
    }
    for (int d = sums; d < s.length; d++) {
      s[d] /= sum;
    }
  }
}
