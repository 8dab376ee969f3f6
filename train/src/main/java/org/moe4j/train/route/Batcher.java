package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.moe4j.train.route.Sequences.Sequence;

/**
 * Puts sequences of about the same length together into batches of bounded size, each behind the
 * token that begins a text. The padding is on the right, where no causal model sees it.
 */
final class Batcher {
  private static final int WINDOW = 256;

  private final int start;
  private final int mostTokens;
  private final Consumer<TokenBatch> sink;
  private final List<Sequence> waiting = new ArrayList<>();

  /**
   * An empty one.
   *
   * @param start the token before every sequence
   * @param mostTokens the most tokens of a batch, unless one sequence alone has more
   */
  Batcher(int start, int mostTokens, Consumer<TokenBatch> sink) {
    this.start = start;
    this.mostTokens = mostTokens;
    this.sink = sink;
  }

  void add(Sequence sequence) {
    waiting.add(sequence);
    if (waiting.size() == WINDOW) {
      finish();
    }
  }

  /** Hands out all that waits. */
  void finish() {
    waiting.sort(Comparator.comparingInt((Sequence s) -> s.ids().length).reversed());
    for (int from = 0; from < waiting.size(); ) {
      int length = waiting.get(from).ids().length + 1;
      int end = Math.min(waiting.size(), from + Math.max(1, mostTokens / length));
      sink.accept(batch(waiting.subList(from, end), length));
      from = end;
    }
    waiting.clear();
  }

  private TokenBatch batch(List<Sequence> rows, int length) {
    long[] ids = new long[rows.size() * length];
    boolean[] counted = new boolean[ids.length];
    Arrays.fill(ids, start);
    for (int b = 0; b < rows.size(); b++) {
      int[] row = rows.get(b).ids();
      for (int s = 0; s < row.length; s++) {
        ids[b * length + 1 + s] = row[s];
        counted[b * length + 1 + s] = true;
      }
    }
    return new TokenBatch(
        rows.size(),
        length,
        ids,
        rows.stream().mapToInt(Sequence::domain).toArray(),
        rows.stream().mapToLong(Sequence::number).toArray(),
        counted);
  }
}
