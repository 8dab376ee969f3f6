package org.moe4j.train.data;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;

/**
 * The training loop of BPE. Pair counts are kept up to date merge by merge: only the words that
 * hold the merged pair are visited, and the queue of candidates may hold outdated counts, which are
 * corrected when they come up.
 */
final class PairMerger {
  private record Candidate(long pair, long count) implements Comparable<Candidate> {
    @Override
    public int compareTo(Candidate other) {
      int byCount = Long.compare(other.count, count);
      return byCount != 0 ? byCount : Long.compare(pair, other.pair);
    }
  }

  /** A pair's occurrences: their number, and the words they are (or were) in. */
  private static final class Occurrences {
    private final long pair;
    private final IntList words = new IntList(4);
    private long count;
    private boolean raised;

    private Occurrences(long pair) {
      this.pair = pair;
    }
  }

  private final int[][] words;
  private final long[] wordCounts;
  private final PairTable slots = new PairTable(1 << 16);
  private final List<Occurrences> pairs = new ArrayList<>();

  /** Pairs whose count has grown since the last look; they get a new candidate. */
  private final List<Occurrences> raised = new ArrayList<>();

  private final PriorityQueue<Candidate> queue = new PriorityQueue<>();

  /** The words, as token ids, and how often each occurs; the words are changed. */
  PairMerger(int[][] words, long[] wordCounts) {
    this.words = words;
    this.wordCounts = wordCounts;
    for (int word = 0; word < words.length; word++) {
      for (int i = 0; i + 1 < words[word].length; i++) {
        raise(words[word][i], words[word][i + 1], word);
      }
    }
    queueRaised();
  }

  /**
   * Appends to {@code tokens} until there are {@code limit} or no pair occurs {@code minimumCount}
   * times; returns the merges in the order they were learnt.
   */
  List<Merge> learn(List<byte[]> tokens, int limit, int minimumCount) {
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < tokens.size(); id++) {
      ids.put(latin1(tokens.get(id)), id);
    }
    PairTable learnt = new PairTable(limit);
    List<Merge> merges = new ArrayList<>();
    while (tokens.size() < limit && !queue.isEmpty()) {
      Candidate best = queue.poll();
      Occurrences occurrences = pairs.get((int) slots.find(best.pair));
      if (best.count != occurrences.count) {
        // A count that grew was queued when it grew; one that shrank is queued now.
        if (best.count > occurrences.count && occurrences.count >= minimumCount) {
          queue.add(new Candidate(best.pair, occurrences.count));
        }
        continue;
      }
      if (best.count < minimumCount) {
        break;
      }
      int left = PairTable.left(best.pair);
      int right = PairTable.right(best.pair);
      byte[] bytes = concat(tokens.get(left), tokens.get(right));
      // Two different merges may spell the same token: (a, bc) and (ab, c).
      int merged = ids.computeIfAbsent(latin1(bytes), spelling -> tokens.size());
      if (merged == tokens.size()) {
        tokens.add(bytes);
      }
      // A pair returns when its left or right token is spelled anew by a later merge.
      if (learnt.find(best.pair) == PairTable.ABSENT) {
        learnt.put(best.pair, merged);
        merges.add(new Merge(left, right, merged));
      }
      for (int i = 0; i < occurrences.words.size(); i++) {
        merge(occurrences.words.at(i), left, right, merged);
      }
      occurrences.count = 0;
      queueRaised();
    }
    return merges;
  }

  private void merge(int word, int left, int right, int merged) {
    int[] symbols = words[word];
    int size = 0;
    for (int i = 0; i < symbols.length; i++) {
      int symbol = symbols[i];
      if (symbol == left && i + 1 < symbols.length && symbols[i + 1] == right) {
        symbol = merged;
        if (size > 0) {
          lower(symbols[size - 1], left, word);
          raise(symbols[size - 1], merged, word);
        }
        if (i + 2 < symbols.length) {
          lower(right, symbols[i + 2], word);
          raise(merged, symbols[i + 2], word);
        }
        i++;
      }
      symbols[size++] = symbol;
    }
    if (size < symbols.length) {
      words[word] = Arrays.copyOf(symbols, size);
    }
  }

  private void raise(int left, int right, int word) {
    long pair = PairTable.pair(left, right);
    long slot = slots.find(pair);
    if (slot == PairTable.ABSENT) {
      slot = pairs.size();
      slots.put(pair, slot);
      pairs.add(new Occurrences(pair));
    }
    Occurrences occurrences = pairs.get((int) slot);
    occurrences.count += wordCounts[word];
    IntList where = occurrences.words;
    if (where.size() == 0 || where.at(where.size() - 1) != word) {
      where.add(word);
    }
    if (!occurrences.raised) {
      occurrences.raised = true;
      raised.add(occurrences);
    }
  }

  private void lower(int left, int right, int word) {
    pairs.get((int) slots.find(PairTable.pair(left, right))).count -= wordCounts[word];
  }

  private void queueRaised() {
    for (Occurrences occurrences : raised) {
      occurrences.raised = false;
      queue.add(new Candidate(occurrences.pair, occurrences.count));
    }
    raised.clear();
  }

  private static byte[] concat(byte[] left, byte[] right) {
    byte[] both = Arrays.copyOf(left, left.length + right.length);
    System.arraycopy(right, 0, both, left.length, right.length);
    return both;
  }

  private static String latin1(byte[] token) {
    return new String(token, StandardCharsets.ISO_8859_1);
  }
}
