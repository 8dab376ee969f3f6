package org.moe4j.engine.text;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Finds the spellings of special tokens in a text: the leftmost, and of those at one place the
 * longest.
 */
final class SpecialTokens {
  private final String[] spellings;
  private final int[] ids;

  /** Looks for the tokens that are {@code wanted}. */
  SpecialTokens(Vocabulary vocabulary, IntPredicate wanted) {
    List<Integer> found = new ArrayList<>();
    for (int id = 0; id < vocabulary.size(); id++) {
      if (wanted.test(id) && !vocabulary.spelling(id).isEmpty()) {
        found.add(id);
      }
    }
    found.sort(Comparator.comparing(vocabulary::spelling));
    this.ids = found.stream().mapToInt(Integer::intValue).toArray();
    this.spellings = found.stream().map(vocabulary::spelling).toArray(String[]::new);
  }

  List<Integer> ids() {
    return Arrays.stream(ids).boxed().toList();
  }

  /** A special token in a text. */
  record Found(int from, int to, int id) {}

  /** All special tokens of {@code text} in order. */
  List<Found> in(String text) {
    List<Found> all = new ArrayList<>();
    for (int at = 0; at < text.length() && spellings.length > 0; at++) {
      int longest = longestAt(text, at);
      if (longest >= 0) {
        int to = at + spellings[longest].length();
        all.add(new Found(at, to, ids[longest]));
        at = to - 1;
      }
    }
    return all;
  }

  /** Narrows the sorted spellings character by character to those that the text goes on with. */
  private int longestAt(String text, int at) {
    int longest = -1;
    int from = 0;
    int to = spellings.length;
    for (int depth = 0; from < to && at + depth < text.length(); depth++) {
      int c = text.charAt(at + depth);
      from = first(from, to, depth, c);
      to = first(from, to, depth, c + 1);
      if (from < to && spellings[from].length() == depth + 1) {
        longest = from;
      }
    }
    return longest;
  }

  /** The first of the range, equal up to {@code depth}, whose next character is at least this. */
  private int first(int from, int to, int depth, int least) {
    int low = from;
    int high = to;
    while (low < high) {
      int middle = (low + high) >>> 1;
      String spelling = spellings[middle];
      if (spelling.length() > depth && spelling.charAt(depth) >= least) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}
