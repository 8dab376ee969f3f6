package org.moe4j.engine.model;

import java.util.Arrays;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Attention;
import org.moe4j.engine.kernel.CachedHeads;
import org.moe4j.engine.kernel.Workers;

/**
 * Attention of a step's tokens to their caches. Queries of tokens that follow one another and of
 * heads that share keys go through the pages together, so that a key is read once for all of them.
 *
 * <p>Softmax runs over spans of {@value #SPAN} positions, each with its own largest score, and
 * spans are put together in order (Milakov, Gimelshein, 2018). Where a span begins depends on
 * nothing but its position, so the bits of a token's result depend neither on its companions nor on
 * how spans are shared out among threads.
 */
final class PagedAttention {
  private static final int SPAN = 512;
  private static final int PAGE = PageLayout.POSITIONS;

  /** Queries that go through the pages together. */
  private static final int ROWS = 16;

  /** The largest number of half precision. */
  private static final float MOST = 65504;

  /**
   * What a layer sees.
   *
   * @param scale of products before softmax
   * @param window how many positions a token sees, its own among them; as many as there are if 0
   * @param sinks a score of each head that takes part in its softmax and has no value; or none
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  record View(float scale, int window, float[] sinks) {}

  private final int keyHeads;
  private final int group;
  private final int keySize;
  private final int valueSize;
  private final Workers workers;
  private final Scratch[] scratch;
  private int[] tiles = {};
  private Partial[] partials = {};

  /** Of {@code heads} heads of queries, as many to each of {@code keyHeads} as to another. */
  PagedAttention(int heads, int keyHeads, int keySize, int valueSize, Workers workers) {
    this.keyHeads = keyHeads;
    this.group = heads / keyHeads;
    this.keySize = keySize;
    this.valueSize = valueSize;
    this.workers = workers;
    this.scratch = new Scratch[workers.count()];
    Arrays.setAll(scratch, i -> new Scratch());
  }

  /** Sums of values of a tile's rows, undivided, with each row's largest score and sum. */
  private static final class Partial {
    final float[] most = new float[ROWS];
    final float[] sum = new float[ROWS];
    float[] values = {};
  }

  private static final class Scratch {
    final Partial all = new Partial();
    final Partial span = new Partial();
    final float[] scores = new float[ROWS * SPAN];
    final int[] from = new int[ROWS];
    final int[] to = new int[ROWS];
    float[] queries = {};
  }

  /**
   * Rows of one cache and key head: of tokens that follow one another, some heads each.
   *
   * @param token the first one in the step
   * @param head the first one
   * @param heads of each token
   */
  private record Tile(Cache cache, int token, int tokens, int keyHead, int head, int heads) {
    int rows() {
      return tokens * heads;
    }
  }

  /**
   * Keeps the keys and values of a layer.
   *
   * @param k of all tokens, all key heads of one behind the other
   */
  void store(int layer, HiddenStates states, float[] k, float[] v) {
    int n = states.count();
    Workers.Job job = (head, worker) -> storeHead(layer, states, head, k, v);
    if (n * keySize < 2048) {
      for (int head = 0; head < keyHeads; head++) {
        job.run(head, 0);
      }
    } else {
      workers.run(keyHeads, job);
    }
  }

  private void storeHead(int layer, HiddenStates states, int head, float[] k, float[] v) {
    for (int t = 0; t < states.count(); t++) {
      int kAt = (t * keyHeads + head) * keySize;
      int vAt = (t * keyHeads + head) * valueSize;
      if (!(most(k, kAt, keySize) <= MOST && most(v, vAt, valueSize) <= MOST)) {
        throw new EngineException(
            "layer "
                + layer
                + ": keys or values are not finite numbers of half precision; the weights are"
                + " damaged");
      }
      states.cache(t).store(layer, head, states.positions()[t], k, kAt, v, vAt);
    }
  }

  /** NaN if there is one. */
  private static float most(float[] x, int at, int count) {
    float most = 0;
    for (int i = at; i < at + count; i++) {
      most = Math.max(most, Math.abs(x[i]));
    }
    return most;
  }

  /**
   * Attends.
   *
   * @param q queries of all tokens, all heads of one behind the other
   * @param out receives all heads' results of token t in row t
   */
  void run(int layer, HiddenStates states, View view, float[] q, Activations out) {
    int blocks = Math.ceilDiv(group, ROWS);
    int count = tile(states);
    int jobs = count * keyHeads * blocks;
    int spans = 0;
    for (int t = 0; t < states.count(); t++) {
      spans = Math.max(spans, states.positions()[t] / SPAN + 1);
    }
    if (spans == 1 || jobs >= 4 * workers.count()) {
      workers.run(
          jobs,
          (job, worker) -> {
            Tile tile = tile(states, job, count, blocks);
            Scratch s = scratch[worker];
            load(tile, q, s);
            attend(layer, states, tile, view, s);
            finish(tile, s.all, view, out);
          });
    } else {
      split(layer, states, view, q, out, jobs, count, blocks, spans);
    }
  }

  /** Spans go to threads one by one. */
  private void split(
      int layer,
      HiddenStates states,
      View view,
      float[] q,
      Activations out,
      int jobs,
      int count,
      int blocks,
      int spans) {
    if (partials.length < jobs * spans) {
      partials = new Partial[jobs * spans];
      Arrays.setAll(partials, i -> new Partial());
    }
    workers.run(
        jobs * spans,
        (job, worker) -> {
          Tile tile = tile(states, job / spans, count, blocks);
          load(tile, q, scratch[worker]);
          span(layer, states, tile, job % spans, view, scratch[worker], partials[job]);
        });
    workers.run(
        jobs,
        (job, worker) -> {
          Tile tile = tile(states, job, count, blocks);
          Partial all = partials[job * spans];
          for (int i = 1; i < spans; i++) {
            merge(tile, all, partials[job * spans + i]);
          }
          finish(tile, all, view, out);
        });
  }

  /** Cuts a step into tiles of tokens and returns how many; their bounds are in {@link #tiles}. */
  private int tile(HiddenStates states) {
    int n = states.count();
    int size = Math.max(1, ROWS / group);
    if (tiles.length < n + 1) {
      tiles = new int[n + 1];
    }
    int count = 0;
    for (int t = 0; t < n; t++) {
      boolean more =
          t > 0 && t - tiles[count - 1] < size && states.cache(t) == states.cache(t - 1);
      if (!more) {
        tiles[count++] = t;
      }
    }
    tiles[count] = n;
    return count;
  }

  private Tile tile(HiddenStates states, int job, int count, int blocks) {
    int token = tiles[job % count];
    int keyHead = job / count / blocks;
    int first = job / count % blocks * ROWS;
    return new Tile(
        states.cache(token),
        token,
        tiles[job % count + 1] - token,
        keyHead,
        keyHead * group + first,
        Math.min(ROWS, group - first));
  }

  private void load(Tile tile, float[] q, Scratch s) {
    int width = keyHeads * group * keySize;
    if (s.queries.length < ROWS * keySize) {
      s.queries = new float[ROWS * keySize];
    }
    int row = tile.heads() * keySize;
    for (int t = 0; t < tile.tokens(); t++) {
      int from = (tile.token() + t) * width + tile.head() * keySize;
      System.arraycopy(q, from, s.queries, t * row, row);
    }
  }

  private void attend(int layer, HiddenStates states, Tile tile, View view, Scratch s) {
    int last = states.positions()[tile.token() + tile.tokens() - 1];
    int first = view.window() == 0 ? 0 : states.positions()[tile.token()] - view.window() + 1;
    int from = Math.max(0, first) / SPAN;
    span(layer, states, tile, from, view, s, s.all);
    for (int i = from + 1; i <= last / SPAN; i++) {
      span(layer, states, tile, i, view, s, s.span);
      merge(tile, s.all, s.span);
    }
  }

  /** Softmax and values of one span. */
  private void span(
      int layer, HiddenStates states, Tile tile, int span, View view, Scratch s, Partial to) {
    CachedHeads heads = tile.cache().layout().heads();
    long at = tile.cache().layout().at(layer, tile.keyHead());
    int rows = tile.rows();
    int first = SPAN;
    int last = 0;
    for (int r = 0; r < rows; r++) {
      int position = states.positions()[tile.token() + r / tile.heads()];
      int begin = view.window() == 0 ? 0 : Math.max(0, position - view.window() + 1);
      s.from[r] = Math.clamp(begin - (long) span * SPAN, 0, SPAN);
      s.to[r] = Math.clamp(position + 1 - (long) span * SPAN, s.from[r], SPAN);
      if (s.to[r] > s.from[r]) {
        first = Math.min(first, s.from[r]);
        last = Math.max(last, s.to[r]);
      }
    }
    for (int p = first / PAGE * PAGE; p < last; p += PAGE) {
      heads.scores(
          tile.cache().page((span * SPAN + p) / PAGE), at, s.queries, rows, s.scores, p, SPAN);
    }
    softmax(rows, view.scale(), s, to);
    if (to.values.length < ROWS * heads.room()) {
      to.values = new float[ROWS * heads.room()];
    }
    Arrays.fill(to.values, 0, rows * heads.room(), 0f);
    for (int p = first / PAGE * PAGE; p < last; p += PAGE) {
      for (int r = 0; r < rows; r += 4) {
        values(tile.cache(), (span * SPAN + p) / PAGE, at, r, Math.min(4, rows - r), p, s, to);
      }
    }
  }

  private static void softmax(int rows, float scale, Scratch s, Partial to) {
    for (int r = 0; r < rows; r++) {
      int from = r * SPAN + s.from[r];
      int end = r * SPAN + s.to[r];
      to.most[r] = Float.NEGATIVE_INFINITY;
      to.sum[r] = 0;
      if (from < end) {
        to.most[r] = Attention.most(s.scores, from, end, scale);
        to.sum[r] = Attention.exponentials(s.scores, from, end, scale, to.most[r]);
      }
    }
  }

  /** Four rows at once where all see a position; what some alone see before and behind, alone. */
  private static void values(
      Cache cache, int page, long at, int row, int rows, int p, Scratch s, Partial to) {
    int common = 0;
    int end = PAGE;
    for (int r = row; r < row + rows; r++) {
      common = Math.max(common, Math.min(PAGE, s.from[r] - p));
      end = Math.min(end, Math.max(0, s.to[r] - p));
    }
    if (rows < 4 || end <= common) {
      common = PAGE;
      end = PAGE;
    }
    single(cache, page, at, row, rows, p, 0, common, s, to);
    if (common < end) {
      CachedHeads heads = cache.layout().heads();
      heads.values(
          cache.page(page),
          at,
          s.scores,
          row * SPAN + p,
          SPAN,
          4,
          common,
          end,
          to.values,
          row * heads.room());
    }
    single(cache, page, at, row, rows, p, end, PAGE, s, to);
  }

  private static void single(
      Cache cache,
      int page,
      long at,
      int row,
      int rows,
      int p,
      int from,
      int end,
      Scratch s,
      Partial to) {
    CachedHeads heads = cache.layout().heads();
    for (int r = row; r < row + rows; r++) {
      int begin = Math.max(from, s.from[r] - p);
      int stop = Math.min(end, s.to[r] - p);
      if (begin < stop) {
        int out = r * heads.room();
        int w = r * SPAN + p;
        heads.values(cache.page(page), at, s.scores, w, SPAN, 1, begin, stop, to.values, out);
      }
    }
  }

  /** Puts a later span behind earlier ones. */
  private static void merge(Tile tile, Partial all, Partial next) {
    int room = tile.cache().layout().heads().room();
    for (int r = 0; r < tile.rows(); r++) {
      if (next.sum[r] == 0) {
        continue;
      }
      float most = Math.max(all.most[r], next.most[r]);
      float a = all.sum[r] == 0 ? 0 : Attention.exp(all.most[r] - most);
      float b = Attention.exp(next.most[r] - most);
      all.most[r] = most;
      all.sum[r] = all.sum[r] * a + next.sum[r] * b;
      Attention.merge(all.values, r * room, a, next.values, r * room, b, room);
    }
  }

  private void finish(Tile tile, Partial all, View view, Activations out) {
    int room = tile.cache().layout().heads().room();
    for (int r = 0; r < tile.rows(); r++) {
      int head = tile.head() + r % tile.heads();
      float share = 1;
      float sum = all.sum[r];
      if (view.sinks().length > 0) {
        float most = Math.max(all.most[r], view.sinks()[head]);
        share = Attention.exp(all.most[r] - most);
        sum = sum * share + Attention.exp(view.sinks()[head] - most);
      }
      int to = out.at(tile.token() + r / tile.heads()) + head * valueSize;
      for (int d = 0; d < valueSize; d++) {
        out.values()[to + d] = all.values[r * room + d] * share / sum;
      }
    }
  }
}
