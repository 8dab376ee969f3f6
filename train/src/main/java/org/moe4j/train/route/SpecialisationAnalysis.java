package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.moe4j.train.report.Information;

/**
 * The mutual information of domain and expert, and the same after shuffling the domains: not among
 * tokens, which resemble their neighbours, but among stretches of {@value #STRETCH} tokens. Beyond
 * {@value #BLOCKS} stretches of a domain several share one count, so that memory is bounded.
 */
final class SpecialisationAnalysis implements Analysis {
  static final int STRETCH = 64;
  static final int BLOCKS = 64;
  private static final int SHUFFLES = 20;

  private final int experts;
  private final long seed;
  private final float @Nullable [][][] blocks;
  private final long[] counted;

  SpecialisationAnalysis(int domains, int experts, long seed) {
    this.experts = experts;
    this.seed = seed;
    this.blocks = new float @Nullable [domains][BLOCKS][];
    this.counted = new long[domains];
  }

  @Override
  public void add(TokenBatch tokens, RoutingTrace trace) {
    int[] blockOf = new int[tokens.tokens()];
    for (int t = 0; t < blockOf.length; t++) {
      if (tokens.counted()[t]) {
        blockOf[t] = (int) (counted[tokens.domain(t)]++ / STRETCH % BLOCKS);
      }
    }
    trace.read(
        (token, expert, weight, kept) -> {
          if (tokens.counted()[token]) {
            block(tokens.domain(token), blockOf[token])[expert] += (float) weight;
          }
        });
  }

  private float[] block(int domain, int number) {
    float[] block = blocks[domain][number];
    if (block == null) {
      block = new float[experts];
      blocks[domain][number] = block;
    }
    return block;
  }

  /** The result; the same for the same text and seed. */
  Specialisation result() {
    List<float[]> all = new ArrayList<>();
    List<Integer> domains = new ArrayList<>();
    for (int d = 0; d < blocks.length; d++) {
      for (float[] block : blocks[d]) {
        if (block != null) {
          all.add(block);
          domains.add(d);
        }
      }
    }
    int[] labels = domains.stream().mapToInt(i -> i).toArray();
    double[][] counts = counts(all, labels);
    double[] shuffled = new double[SHUFFLES];
    SplittableRandom random = new SplittableRandom(seed);
    for (int s = 0; s < SHUFFLES; s++) {
      for (int i = labels.length - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int label = labels[i];
        labels[i] = labels[j];
        labels[j] = label;
      }
      shuffled[s] = Information.mutual(counts(all, labels));
    }
    return Specialisation.of(counts, shuffled);
  }

  private double[][] counts(List<float[]> all, int[] labels) {
    double[][] counts = new double[blocks.length][experts];
    for (int b = 0; b < labels.length; b++) {
      double[] row = counts[labels[b]];
      float[] block = all.get(b);
      for (int e = 0; e < experts; e++) {
        row[e] += block[e];
      }
    }
    return counts;
  }
}
