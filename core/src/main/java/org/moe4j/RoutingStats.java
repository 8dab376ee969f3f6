package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * How a layer's tokens were spread, as plain numbers that outlive the pass. Statistics of several
 * passes add up with {@link #plus}.
 */
public final class RoutingStats {
  private final long tokens;
  private final double[] asked;
  private final double[] served;
  private final double[] probability;
  private final double entropy;
  private final double confidence;

  private RoutingStats(
      long tokens,
      double[] asked,
      double[] served,
      double[] probability,
      double entropy,
      double confidence) {
    this.tokens = tokens;
    this.asked = asked;
    this.served = served;
    this.probability = probability;
    this.entropy = entropy;
    this.confidence = confidence;
  }

  /** The statistics of one pass. */
  public static RoutingStats of(Routing routing, TokenContext context) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      long tokens =
          context.padding().map(p -> (long) p.to(DType.I64).sum().item()).orElse(context.tokens());
      int experts = routing.expertCount();
      double[] asked = new double[experts];
      double[] served = new double[experts];
      switch (routing) {
        case TokenChoice r -> {
          count(r.asked(), asked);
          count(r.experts(), served);
        }
        case ExpertChoice r -> {
          long[] chosen = r.tokens().toLongs();
          for (int i = 0; i < chosen.length; i++) {
            served[(int) (i / r.capacity())] += chosen[i] >= 0 ? 1 : 0;
          }
          asked = served.clone();
        }
        case Blend.Dense r -> {
          asked = r.weights().sum(0, false).toDoubles();
          served = asked.clone();
        }
        case Blend.Slots r -> {
          double perExpert = (double) (r.dispatch().size(0) * r.dispatch().size(2)) / experts;
          Arrays.fill(asked, perExpert);
          served = asked.clone();
        }
        case Retrieval r -> {
          count(r.ids(), asked);
          served = asked.clone();
        }
      }
      Tensor p = routing.evidence().probabilities().orElse(null);
      if (p == null || tokens == 0 || p.size(0) != context.tokens()) {
        return new RoutingStats(tokens, asked, served, new double[0], 0, 0);
      }
      Tensor real = TokenChoices.onlyReal(p.detach(), context);
      // 0 log 0 = 0, for padding rows too.
      double entropy = -real.mul(real.clampMin(1e-30).log()).sum().item();
      double confidence = real.max(1, false).sum().item();
      return new RoutingStats(
          tokens, asked, served, real.sum(0, false).toDoubles(), entropy, confidence);
    }
  }

  private static void count(Tensor ids, double[] counts) {
    for (long id : ids.toLongs()) {
      if (id >= 0) {
        counts[(int) id]++;
      }
    }
  }

  /** The statistics of both passes together. */
  public RoutingStats plus(RoutingStats other) {
    return new RoutingStats(
        tokens + other.tokens,
        sum(asked, other.asked),
        sum(served, other.served),
        sum(probability, other.probability),
        entropy + other.entropy,
        confidence + other.confidence);
  }

  private static double[] sum(double[] a, double[] b) {
    if (a.length == 0 || b.length == 0) {
      return a.length == 0 ? b : a;
    }
    double[] c = a.clone();
    for (int i = 0; i < c.length; i++) {
      c[i] += b[i];
    }
    return c;
  }

  /** Real tokens. */
  public long tokens() {
    return tokens;
  }

  /** E. */
  public int experts() {
    return asked.length;
  }

  /** Load of each expert before drops: choices, or summed weights of a blend [E]. */
  public double[] asked() {
    return asked.clone();
  }

  /** Load of each expert after drops [E]. */
  public double[] served() {
    return served.clone();
  }

  /** The share of choices that were dropped, 0..1. */
  public double dropRate() {
    double all = Arrays.stream(asked).sum();
    return all == 0 ? 0 : 1 - Arrays.stream(served).sum() / all;
  }

  /** The largest load before drops over the mean: 1 at even use, up to E / k. */
  public double imbalance() {
    double sum = Arrays.stream(asked).sum();
    return sum == 0 ? 1 : Arrays.stream(asked).max().orElse(0) * asked.length / sum;
  }

  /**
   * S56's MaxVio: how far the largest load before drops is above the mean, relative to it. 0 at
   * even use, up to E / k - 1. Of one step it is MaxVio_batch; of statistics added up over a whole
   * validation set, MaxVio_global.
   */
  public double maxViolation() {
    return imbalance() - 1;
  }

  /** Entropy in nats of the mean probabilities: ln E if experts are used evenly. */
  public double entropyOfMean() {
    double h = 0;
    for (double sum : probability) {
      double p = sum / tokens;
      h -= p > 0 ? p * Math.log(p) : 0;
    }
    return h;
  }

  /** Mean entropy in nats of a token's probabilities: 0 if the router is sure. */
  public double meanEntropy() {
    return tokens == 0 ? 0 : entropy / tokens;
  }

  /** Mean of a token's largest probability. */
  public double confidence() {
    return tokens == 0 ? 0 : confidence / tokens;
  }
}
