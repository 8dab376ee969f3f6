package org.moe4j.engine;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Chooses the tokens of one text by its {@link Sampling}. */
public final class Sampler {
  private final Sampling how;
  private final SplittableRandom random;
  private final Deque<Integer> recent = new ArrayDeque<>();
  private final Map<Integer, Integer> counts = new HashMap<>();

  /** Begins a text. */
  public Sampler(Sampling how) {
    this.how = how;
    this.random = new SplittableRandom(how.seed());
  }

  /** Tells of a token that now stands in the text; one of the prompt, too. */
  public void accept(int token) {
    if (how.penalties().none()) {
      return;
    }
    recent.addLast(token);
    counts.merge(token, 1, Integer::sum);
    if (recent.size() > how.penalties().window()) {
      counts.computeIfPresent(recent.removeFirst(), (t, n) -> n == 1 ? null : n - 1);
    }
  }

  /**
   * The next token, from its logits, which are left as they are.
   *
   * @throws EngineException if none can be chosen, or a bias is for a token that there is not
   */
  public int next(float[] logits) {
    float[] z = penalised(logits);
    int best = likeliest(z);
    if (!(z[best] > Float.NEGATIVE_INFINITY)) {
      throw new EngineException(
          "no token can be chosen: each is forbidden by the logit bias, or has no number as logit");
    }
    return how.temperature() == 0 ? best : drawn(z, z[best]);
  }

  private float[] penalised(float[] logits) {
    if (counts.isEmpty() && how.bias().isEmpty()) {
      return logits;
    }
    float[] z = logits.clone();
    how.bias()
        .forEach(
            (token, added) -> {
              if (token < 0 || token >= z.length) {
                throw new EngineException(
                    "logit bias: token " + token + " is not in the vocabulary of " + z.length);
              }
              z[token] += added;
            });
    Sampling.Penalties p = how.penalties();
    counts.forEach(
        (token, count) -> {
          float turned = z[token] > 0 ? z[token] / p.repetition() : z[token] * p.repetition();
          z[token] = turned - count * p.frequency() - p.presence();
        });
    return z;
  }

  private static int likeliest(float[] z) {
    int best = 0;
    float most = z[0];
    for (int i = 1; i < z.length; i++) {
      float x = z[i];
      if (x > most) {
        most = x;
        best = i;
      }
    }
    return best;
  }

  private int drawn(float[] z, float most) {
    Sampling.Limits limits = how.limits();
    boolean few = limits.topK() > 0 && limits.topK() < z.length;
    int[] ids = few ? Ranking.first(z, limits.topK()) : new int[0];
    double all =
        few
            ? IntStream.of(ids).mapToDouble(i -> weight(z[i], most)).sum()
            : IntStream.range(0, z.length).mapToDouble(i -> weight(z[i], most)).sum();
    if (!few) {
      // Less likely ones cannot be among those that the limits leave.
      double least = Math.max(limits.minP(), (1 - limits.topP()) * all / z.length);
      ids = Ranking.above(z, (float) (most + how.temperature() * Math.log(least * 0.999)));
    }
    double[] p = new double[ids.length];
    int kept = 0;
    double sum = 0;
    while (kept < p.length && sum < limits.topP() * all) {
      p[kept] = weight(z[ids[kept]], most);
      if (p[kept] < limits.minP()) {
        break;
      }
      sum += p[kept++];
    }
    double point = random.nextDouble() * sum;
    for (int i = 0; i < kept; i++) {
      point -= p[i];
      if (point < 0) {
        return ids[i];
      }
    }
    return ids[Math.max(0, kept - 1)];
  }

  /** A probability but for a factor; the likeliest token has 1. */
  private double weight(float logit, float most) {
    return Math.exp(((double) logit - most) / how.temperature());
  }
}
