package org.moe4j.engine;

import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;

/** Chooses the tokens of one text by its {@link Sampling}. */
public final class Sampler {
  private final Sampling how;
  private final RandomGenerator random;
  private final Deque<Integer> recent = new ArrayDeque<>();

  /** Begins a text. */
  public Sampler(Sampling how) {
    this.how = how;
    this.random = RandomGeneratorFactory.of("L64X128MixRandom").create(how.seed());
  }

  /** Tells of a token that now stands in the text; one of the prompt, too. */
  public void accept(int token) {
    if (how.repetition() != 1 && how.window() > 0) {
      recent.addLast(token);
      if (recent.size() > how.window()) {
        recent.removeFirst();
      }
    }
  }

  /** The next token, from its logits, which are left as they are. */
  public int next(float[] logits) {
    float[] z = penalised(logits);
    return how.temperature() == 0 ? likeliest(z) : drawn(z);
  }

  private float[] penalised(float[] logits) {
    if (recent.isEmpty()) {
      return logits;
    }
    float[] z = logits.clone();
    for (int token : new HashSet<>(recent)) {
      z[token] = z[token] > 0 ? z[token] / how.repetition() : z[token] * how.repetition();
    }
    return z;
  }

  private static int likeliest(float[] z) {
    int best = 0;
    for (int i = 1; i < z.length; i++) {
      best = z[i] > z[best] ? i : best;
    }
    return best;
  }

  private int drawn(float[] z) {
    float most = z[likeliest(z)];
    double least = how.minP() == 0 ? Double.NEGATIVE_INFINITY : Math.log(how.minP());
    List<Integer> left =
        IntStream.range(0, z.length)
            .filter(i -> ((double) z[i] - most) / how.temperature() >= least)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> -z[i]).thenComparing(i -> i))
            .limit(how.topK() == 0 ? Integer.MAX_VALUE : how.topK())
            .toList();
    double[] p =
        left.stream()
            .mapToDouble(i -> Math.exp(((double) z[i] - most) / how.temperature()))
            .toArray();
    double all = IntStream.range(0, p.length).mapToDouble(i -> p[i]).sum();
    int kept = 0;
    double sum = 0;
    while (kept < p.length && sum < how.topP() * all) {
      sum += p[kept++];
    }
    double point = random.nextDouble() * sum;
    for (int i = 0; i < kept; i++) {
      point -= p[i];
      if (point < 0) {
        return left.get(i);
      }
    }
    return left.get(Math.max(0, kept - 1));
  }
}
