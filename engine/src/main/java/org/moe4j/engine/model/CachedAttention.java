package org.moe4j.engine.model;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.IntBinaryOperator;
import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.cache.PageLayout;
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
final class CachedAttention {
  private static final int SPAN = 512;
  private static final int PAGE = PageLayout.POSITIONS;

  /** Queries that go through the pages together. */
  private static final int ROWS = 16;

  /** Rows whose weights a value is read for at once. */
  private static final int TOGETHER = 8;

  /** The largest number of half precision. */
  private static final float MOST = 65504;

  private final AttentionShape shape;
  private final int keyHeads;
  private final int group;
  private final Workers workers;
  private final Scratch[] scratch;
  private int[] tiles = {};
  private Partial[] partials = {};

  /** Of a model's heads. */
  CachedAttention(AttentionShape shape, Products products) {
    this.shape = shape;
    this.keyHeads = shape.keyHeads();
    this.group = shape.heads() / keyHeads;
    this.workers = products.workers();
    this.scratch = new Scratch[workers.count()];
    Arrays.setAll(scratch, i -> new Scratch());
  }

  /** Where results go, and what else takes part in their softmax. */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  private record Result(float[] sinks, float[] to, IntBinaryOperator place) {}

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
   * A page of a span.
   *
   * @param at where the head begins in it
   * @param p its first position in the span
   * @param next address of the values that are read after it
   */
  private record Piece(MemorySegment page, long at, int p, long next) {}

  /**
   * Keeps the keys and values of a layer.
   *
   * @param k of each token the keys of all heads, {@code kStride} numbers from one to the next
   */
  void store(int layer, HiddenStates states, float[] k, int kStride, float[] v, int vStride) {
    Workers.Job job = (head, worker) -> storeHead(layer, states, head, k, kStride, v, vStride);
    if (states.count() * kStride < 512) {
      for (int head = 0; head < keyHeads; head++) {
        job.run(head, 0);
      }
    } else {
      workers.run(keyHeads, job);
    }
  }

  private void storeHead(
      int layer, HiddenStates states, int head, float[] k, int kStride, float[] v, int vStride) {
    for (int t = 0; t < states.count(); t++) {
      int kAt = t * kStride + head * shape.keySize();
      int vAt = t * vStride + head * shape.valueSize();
      if (!(most(k, kAt, shape.keySize()) <= MOST && most(v, vAt, shape.valueSize()) <= MOST)) {
        states
            .cache(t)
            .damaged("keys or values of layer " + layer + " do not fit into half precision");
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
    Result result = new Result(sinks, to, place);
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
            load(tile, queries, s);
            attend(layer, states, tile, s);
            finish(tile, s.all, result);
          });
    } else {
      split(layer, states, queries, result, jobs, count, blocks, spans);
    }
  }

  /** Spans go to threads one by one. */
  private void split(
      int layer,
      HiddenStates states,
      float[] queries,
      Result result,
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
          load(tile, queries, scratch[worker]);
          span(layer, states, tile, job % spans, scratch[worker], partials[job]);
        });
    workers.run(
        jobs,
        (job, worker) -> {
          Tile tile = tile(states, job, count, blocks);
          Partial all = partials[job * spans];
          for (int i = 1; i < spans; i++) {
            merge(tile, all, partials[job * spans + i]);
          }
          finish(tile, all, result);
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
      boolean more = t > 0 && t - tiles[count - 1] < size && states.cache(t) == states.cache(t - 1);
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

  private void load(Tile tile, float[] queries, Scratch s) {
    int keySize = shape.keySize();
    int width = shape.heads() * keySize;
    if (s.queries.length < ROWS * keySize) {
      s.queries = new float[ROWS * keySize];
    }
    int row = tile.heads() * keySize;
    for (int t = 0; t < tile.tokens(); t++) {
      int from = (tile.token() + t) * width + tile.head() * keySize;
      System.arraycopy(queries, from, s.queries, t * row, row);
    }
  }

  private void attend(int layer, HiddenStates states, Tile tile, Scratch s) {
    int last = states.positions()[tile.token() + tile.tokens() - 1];
    int from = shape.first(layer, states.positions()[tile.token()]) / SPAN;
    span(layer, states, tile, from, s, s.all);
    for (int i = from + 1; i <= last / SPAN; i++) {
      span(layer, states, tile, i, s, s.span);
      merge(tile, s.all, s.span);
    }
  }

  /** Softmax and values of one span. */
  private void span(int layer, HiddenStates states, Tile tile, int span, Scratch s, Partial to) {
    CachedHeads heads = tile.cache().layout().heads();
    long at = tile.cache().layout().at(layer, tile.keyHead());
    long values = at + heads.values();
    int rows = tile.rows();
    int first = SPAN;
    int last = 0;
    for (int r = 0; r < rows; r++) {
      int position = states.positions()[tile.token() + r / tile.heads()];
      s.from[r] = Math.clamp(shape.first(layer, position) - (long) span * SPAN, 0, SPAN);
      s.to[r] = Math.clamp(position + 1 - (long) span * SPAN, s.from[r], SPAN);
      if (s.to[r] > s.from[r]) {
        first = Math.min(first, s.from[r]);
        last = Math.max(last, s.to[r]);
      }
    }
    int start = first / PAGE * PAGE;
    for (int p = start; p < last; p += PAGE) {
      boolean more = p + PAGE < last;
      long next = more ? address(tile, span, p + PAGE, at) : address(tile, span, start, values);
      MemorySegment page = page(tile, span, p);
      heads.scores(page, at, s.queries, rows, Math.min(PAGE, last - p), s.scores, p, SPAN, next);
    }
    softmax(rows, shape.scale(), s, to);
    if (to.values.length < ROWS * heads.room()) {
      to.values = new float[ROWS * heads.room()];
    }
    Arrays.fill(to.values, 0, rows * heads.room(), 0f);
    for (int p = start; p < last; p += PAGE) {
      int next = p + PAGE < last ? p + PAGE : start;
      Piece piece = new Piece(page(tile, span, p), at, p, address(tile, span, next, values));
      for (int r = 0; r < rows; r += TOGETHER) {
        values(heads, piece, r, Math.min(TOGETHER, rows - r), s, to);
      }
    }
  }

  private static MemorySegment page(Tile tile, int span, int p) {
    return tile.cache().page((span * SPAN + p) / PAGE);
  }

  private static long address(Tile tile, int span, int p, long at) {
    return page(tile, span, p).address() + at;
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

  /** Rows at once where all see a position; what some alone see before and behind, alone. */
  private static void values(
      CachedHeads heads, Piece piece, int row, int rows, Scratch s, Partial to) {
    int common = 0;
    int end = PAGE;
    for (int r = row; r < row + rows; r++) {
      common = Math.max(common, Math.min(PAGE, s.from[r] - piece.p()));
      end = Math.min(end, Math.max(0, s.to[r] - piece.p()));
    }
    if (end <= common) {
      common = PAGE;
      end = PAGE;
    }
    for (int r = row; r < row + rows; r++) {
      int stop = Math.min(common, s.to[r] - piece.p());
      sum(heads, piece, r, 1, Math.max(0, s.from[r] - piece.p()), stop, s, to);
    }
    sum(heads, piece, row, rows, common, end, s, to);
    for (int r = row; r < row + rows; r++) {
      sum(heads, piece, r, 1, end, Math.min(PAGE, s.to[r] - piece.p()), s, to);
    }
  }

  private static void sum(
      CachedHeads heads, Piece piece, int row, int rows, int from, int end, Scratch s, Partial to) {
    if (from < end) {
      heads.values(
          piece.page(),
          piece.at(),
          s.scores,
          row * SPAN + piece.p(),
          SPAN,
          rows,
          from,
          end,
          to.values,
          row * heads.room(),
          piece.next());
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

  private void finish(Tile tile, Partial all, Result result) {
    int room = tile.cache().layout().heads().room();
    for (int r = 0; r < tile.rows(); r++) {
      int head = tile.head() + r % tile.heads();
      float share = 1;
      float sum = all.sum[r];
      if (result.sinks().length > 0) {
        float sink = result.sinks()[head];
        float most = Math.max(all.most[r], sink);
        share = Attention.exp(all.most[r] - most);
        sum = sum * share + Attention.exp(sink - most);
      }
      int at = result.place().applyAsInt(tile.token() + r / tile.heads(), head);
      float factor = share / sum;
      for (int d = 0; d < shape.valueSize(); d++) {
        result.to()[at + d] = all.values[r * room + d] * factor;
      }
    }
  }
}
