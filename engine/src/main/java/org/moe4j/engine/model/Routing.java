package org.moe4j.engine.model;

import java.util.Arrays;

/**
 * Which tokens of a step each expert of a layer gets: slots sorted by expert, so that an expert's
 * weights are read once for all of its tokens.
 */
final class Routing {
  private final int experts;
  private final int used;
  private final boolean normalised;
  private int[] chosen = {};
  private float[] weights = {};
  private int[] slots = {};
  private int[] tokens = {};
  private final int[] starts;

  Routing(int experts, int used, boolean normalised) {
    this.experts = experts;
    this.used = used;
    this.normalised = normalised;
    this.starts = new int[experts + 1];
  }

  void reserve(int count) {
    if (chosen.length < count * used) {
      chosen = new int[count * used];
      weights = new float[count * used];
      slots = new int[count * used];
      tokens = new int[count * used];
    }
  }

  /** Softmax of a token's logits, then its {@code used} largest, the lower index first if equal. */
  void choose(int token, float[] logits, int at) {
    float most = Float.NEGATIVE_INFINITY;
    for (int e = 0; e < experts; e++) {
      most = Math.max(most, logits[at + e]);
    }
    double all = 0;
    for (int e = 0; e < experts; e++) {
      all += StrictMath.exp((double) logits[at + e] - most);
    }
    double sum = 0;
    for (int i = 0; i < used; i++) {
      int best = 0;
      for (int e = 1; e < experts; e++) {
        best = logits[at + e] > logits[at + best] ? e : best;
      }
      double p = StrictMath.exp((double) logits[at + best] - most) / all;
      chosen[token * used + i] = best;
      weights[token * used + i] = (float) p;
      sum += p;
      logits[at + best] = Float.NEGATIVE_INFINITY;
    }
    for (int i = 0; normalised && i < used; i++) {
      weights[token * used + i] /= (float) sum;
    }
  }

  /** Sorts the choices of {@code count} tokens by expert. */
  void sort(int count) {
    Arrays.fill(starts, 0);
    for (int i = 0; i < count * used; i++) {
      starts[chosen[i] + 1]++;
    }
    for (int e = 0; e < experts; e++) {
      starts[e + 1] += starts[e];
    }
    int[] next = Arrays.copyOf(starts, experts);
    for (int i = 0; i < count * used; i++) {
      int place = next[chosen[i]]++;
      slots[i] = place;
      tokens[place] = i / used;
    }
  }

  /** Tokens in the order of places. */
  int[] tokens() {
    return tokens;
  }

  /** The first place of expert {@code e}; that of the next ends it. */
  int start(int e) {
    return starts[e];
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
