package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The text as sequences of tokens that the model can read at once. Every reading gives the same
 * ones. Where there are more tokens than wanted, each file gives its first ones, as many as the
 * others.
 */
final class Sequences {
  static final int MOST_DOMAINS = 32;
  private static final String OTHERS = "other domains";

  /**
   * A stretch of one text.
   *
   * @param domain its number
   * @param number of all sequences
   * @param ids its tokens, at least one
   */
  record Sequence(int domain, long number, int[] ids) {}

  private final TextInput text;
  private final Subject subject;
  private final int longest;
  private final long perFile;
  private final Map<String, Integer> domains = new LinkedHashMap<>();

  /**
   * The sequences of {@code text}.
   *
   * @param longest the most tokens of a sequence
   * @param most the most tokens of all, or 0 for no limit
   */
  Sequences(TextInput text, Subject subject, int longest, long most) {
    this.text = text;
    this.subject = subject;
    this.longest = longest;
    this.perFile = most == 0 ? Long.MAX_VALUE : Math.ceilDiv(most, text.files().size());
  }

  /** The names of the domains met so far, by number; beyond some, the rest are one. */
  List<String> domains() {
    return List.copyOf(domains.keySet());
  }

  /** Hands all sequences to {@code sink}. */
  void read(Consumer<Sequence> sink) {
    long[] number = {0};
    for (int file = 0; file < text.files().size(); file++) {
      long[] left = {perFile};
      text.read(
          file,
          (domain, piece) -> {
            int id = domain(domain);
            for (int[] ids : cut(subject.encode(piece), left[0])) {
              left[0] -= ids.length;
              sink.accept(new Sequence(id, number[0]++, ids));
            }
            return left[0] > 0;
          });
    }
  }

  private int domain(String name) {
    Integer known = domains.get(name);
    if (known != null) {
      return known;
    }
    String taken = domains.size() < MOST_DOMAINS - 1 ? name : OTHERS;
    return domains.computeIfAbsent(taken, n -> domains.size());
  }

  private List<int[]> cut(int[] ids, long most) {
    List<int[]> parts = new ArrayList<>();
    int end = (int) Math.min(ids.length, most);
    for (int from = 0; from < end; from += longest) {
      int[] part = new int[Math.min(longest, end - from)];
      System.arraycopy(ids, from, part, 0, part.length);
      parts.add(part);
    }
    return parts;
  }
}
