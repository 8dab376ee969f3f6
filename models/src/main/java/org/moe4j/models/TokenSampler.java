package org.moe4j.models;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;

/** Chooses tokens from logits. The same seed and the same logits give the same tokens. */
final class TokenSampler {
  private final Sampling sampling;
  private final SplittableRandom random;

  TokenSampler(Sampling sampling) {
    this.sampling = sampling;
    this.random = new SplittableRandom(sampling.seed());
  }

  /** The chosen id for {@code logits [V]}. */
  int choose(float[] logits) {
    int best = argmax(logits);
    if (sampling.greedy()) {
      return best;
    }
    int[] candidates = candidates(logits);
    double[] mass = new double[candidates.length];
    double total = 0;
    for (int i = 0; i < mass.length; i++) {
      // Relative to the largest logit, so that nothing overflows at a small temperature.
      mass[i] = Math.exp((logits[candidates[i]] - logits[best]) / sampling.temperature());
      total += mass[i];
    }
    int kept = nucleus(mass, total);
    return candidates[draw(mass, kept)];
  }

  private static int argmax(float[] logits) {
    int best = -1;
    for (int i = 0; i < logits.length; i++) {
      if (Float.isNaN(logits[i])) {
        throw new MoeException(
            "the logits of the next token are not numbers; is the model damaged?");
      }
      if (best < 0 || logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  /** Ids that top-k leaves, the most likely first, lower ids first among equals. */
  private int[] candidates(float[] logits) {
    boolean all = sampling.topK() == 0 && sampling.topP() == 1;
    if (all) {
      return IntStream.range(0, logits.length).toArray();
    }
    int k = sampling.topK() == 0 ? logits.length : Math.min(sampling.topK(), logits.length);
    Integer[] ids = IntStream.range(0, logits.length).boxed().toArray(Integer[]::new);
    Arrays.sort(ids, Comparator.comparingDouble(id -> -logits[id]));
    return Arrays.stream(ids).limit(k).mapToInt(Integer::intValue).toArray();
  }

  /** How many of the first candidates it takes to reach top-p of the mass. */
  private int nucleus(double[] mass, double total) {
    if (sampling.topP() == 1) {
      return mass.length;
    }
    double sum = 0;
    for (int i = 0; i < mass.length; i++) {
      sum += mass[i];
      if (sum >= sampling.topP() * total) {
        return i + 1;
      }
    }
    return mass.length;
  }

  private int draw(double[] mass, int kept) {
    double total = Arrays.stream(mass, 0, kept).sum();
    double point = random.nextDouble() * total;
    int last = 0;
    for (int i = 0; i < kept && point >= 0; i++) {
      if (mass[i] > 0) {
        point -= mass[i];
        last = i;
      }
    }
    return last;
  }
}
