package org.moe4j.engine;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How many tokens of each text go through the next step. Those that write get one each, those that
 * served longest ago first. What is left of the step goes to prompts in equal shares; what a short
 * one does not need goes to the others.
 */
final class Shares {
  private Shares() {}

  /**
   * A text's part of a step.
   *
   * @param reading whether its prompt is being read
   * @param tokens that it still has to put in
   * @param served when it last took part
   */
  record Wish(boolean reading, int tokens, long served) {}

  /** Tokens of each wish, 0 for those that wait for the next step. */
  static int[] of(List<Wish> wishes, BatchOptions options) {
    int[] shares = new int[wishes.size()];
    int held = wishes.stream().anyMatch(Wish::reading) ? held(options) : 0;
    int[] writing = oldest(wishes, false, options.stepTokens() - held);
    for (int i : writing) {
      shares[i] = wishes.get(i).tokens();
    }
    int left = options.stepTokens() - writing.length;
    if (writing.length > 0) {
      left = Math.min(left, options.promptTokens());
    }
    int[] reading = oldest(wishes, true, left);
    int[] shortest =
        Arrays.stream(reading)
            .boxed()
            .sorted(Comparator.comparingInt((Integer i) -> wishes.get(i).tokens()))
            .mapToInt(i -> i)
            .toArray();
    for (int i = 0; i < shortest.length; i++) {
      int share = left / (shortest.length - i);
      shares[shortest[i]] = Math.min(share, wishes.get(shortest[i]).tokens());
      left -= shares[shortest[i]];
    }
    return shares;
  }

  /** What writers leave to prompts however many writers there are. */
  private static int held(BatchOptions options) {
    return Math.min(options.promptTokens(), Math.max(1, options.stepTokens() / 4));
  }

  private static int[] oldest(List<Wish> wishes, boolean reading, int most) {
    return IntStream.range(0, wishes.size())
        .filter(i -> wishes.get(i).reading() == reading)
        .boxed()
        .sorted(Comparator.comparingLong((Integer i) -> wishes.get(i).served()))
        .limit(most)
        .mapToInt(i -> i)
        .toArray();
  }
}
