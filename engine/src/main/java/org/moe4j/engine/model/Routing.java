package org.moe4j.engine.model;

import java.util.Arrays;

/**
 * Which tokens of a step each expert of a layer gets: slots sorted by expert, so that an expert's
 * weights are read once for all of its tokens.
 */
final class Routing {
  /** What other programs keep sums of weights above: the least normal number of 16 bits. */
  private static final double LEAST_SUM = 6.103515625e-5;

  /** The rank of an expert that a token has. */
  private static final double TAKEN = Double.NaN;

  private final MixtureShape shape;
  private final int used;
  private final double[][] scores;
  private final double[][] ranks;
  private int[] chosen = {};
  private float[] weights = {};
  private int[] slots = {};
  private int[] tokens = {};
  private final int[] starts;

  /** For tokens that {@code workers} threads choose for. */
  Routing(MixtureShape shape, int workers) {
    this.shape = shape;
    this.used = shape.used();
    this.scores = new double[workers][shape.experts()];
    this.ranks = new double[workers][shape.experts()];
    this.starts = new int[shape.experts() + 1];
  }

  void reserve(int count) {
    if (chosen.length < count * used) {
      chosen = new int[count * used];
      weights = new float[count * used];
      slots = new int[count * used];
      tokens = new int[count * used];
    }
  }

  /**
   * Picks a token's experts by its logits, the lower index first if equal, and weighs them.
   *
   * @param preference of each expert, which counts in the choice alone; or none
   */
  void choose(int token, float[] logits, int at, float[] preference, int worker) {
    double[] p = scores[worker];
    score(p, logits, at);
    double[] rank = ranks[worker];
    boolean direct = preference.length == 0 && shape.groups() == 1;
    for (int e = 0; e < rank.length; e++) {
      double x = direct ? logits[at + e] : p[e];
      x = preference.length == 0 ? x : x + preference[e];
      rank[e] = Double.isNaN(x) ? Double.NEGATIVE_INFINITY : x;
    }
    if (shape.groups() > 1) {
      bestGroups(rank);
    }
    double sum = 0;
    for (int i = 0; i < used; i++) {
      int best = best(rank);
      chosen[token * used + i] = best;
      weights[token * used + i] = (float) p[best];
      sum += p[best];
      rank[best] = TAKEN;
    }
    boolean divided = shape.normalised() || shape.gating() == Gating.CHOSEN;
    for (int i = token * used; i < (token + 1) * used; i++) {
      weights[i] = (divided ? weights[i] / (float) Math.max(sum, LEAST_SUM) : weights[i]);
      weights[i] *= shape.scale();
    }
  }

  /** The experts' scores; their softmax where only the chosen count is left for the sum to make. */
  private void score(double[] p, float[] logits, int at) {
    if (shape.gating() == Gating.SIGMOID) {
      for (int e = 0; e < p.length; e++) {
        p[e] = 1 / (1 + StrictMath.exp(-(double) logits[at + e]));
      }
      return;
    }
    float most = Float.NEGATIVE_INFINITY;
    for (int e = 0; e < p.length; e++) {
      most = Math.max(most, logits[at + e]);
    }
    double all = 0;
    for (int e = 0; e < p.length; e++) {
      p[e] = StrictMath.exp((double) logits[at + e] - most);
      all += p[e];
    }
    for (int e = 0; e < p.length; e++) {
      p[e] /= all;
    }
  }

  /** The first of those with the largest rank that are not taken. */
  private static int best(double[] rank) {
    int best = 0;
    for (int e = 1; e < rank.length; e++) {
      best = rank[e] > rank[best] || Double.isNaN(rank[best]) ? e : best;
    }
    return best;
  }

  /**
   * Leaves the best groups: by the sum of their two best experts where each has a score of its own
   * (DeepSeek-V3), by the best expert alone under softmax (DeepSeek-V2).
   */
  private void bestGroups(double[] rank) {
    int size = rank.length / shape.groups();
    double[] sums = new double[shape.groups()];
    for (int g = 0; g < sums.length; g++) {
      double[] sorted = Arrays.copyOfRange(rank, g * size, (g + 1) * size);
      Arrays.sort(sorted);
      boolean two = shape.gating() == Gating.SIGMOID && size > 1;
      sums[g] = sorted[size - 1] + (two ? sorted[size - 2] : 0);
    }
    for (int dropped = shape.usedGroups(); dropped < sums.length; dropped++) {
      int worst = 0;
      for (int g = 1; g < sums.length; g++) {
        worst = sums[g] <= sums[worst] ? g : worst;
      }
      sums[worst] = Double.POSITIVE_INFINITY;
      Arrays.fill(rank, worst * size, (worst + 1) * size, Double.NEGATIVE_INFINITY);
    }
  }

  /** Sorts the choices of {@code count} tokens by expert. */
  void sort(int count) {
    Arrays.fill(starts, 0);
    for (int i = 0; i < count * used; i++) {
      starts[chosen[i] + 1]++;
    }
    for (int e = 0; e < shape.experts(); e++) {
      starts[e + 1] += starts[e];
    }
    int[] next = Arrays.copyOf(starts, shape.experts());
    for (int i = 0; i < count * used; i++) {
      int place = next[chosen[i]]++;
      slots[i] = place;
      tokens[place] = i / used;
    }
  }

  /** The experts that any token has, in order. */
  int[] busy() {
    int[] busy = new int[shape.experts()];
    int count = 0;
    for (int e = 0; e < busy.length; e++) {
      if (starts[e + 1] > starts[e]) {
        busy[count++] = e;
      }
    }
    return Arrays.copyOf(busy, count);
  }

  /** Tokens in the order of places. */
  int[] tokens() {
    return tokens;
  }

  /** The first place of expert {@code e}; that of the next ends it. */
  int start(int e) {
    return starts[e];
  }

  /** Choice {@code i} of a token, the best first. */
  int chosen(int token, int i) {
    return chosen[token * used + i];
  }

  /** The place of choice {@code i} of a token. */
  int place(int token, int i) {
    return slots[token * used + i];
  }

  /** The weight of choice {@code i} of a token. */
  float weight(int token, int i) {
    return weights[token * used + i];
  }
}
