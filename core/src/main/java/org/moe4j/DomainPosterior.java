package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * How likely each domain is, given what a text has been so far, by Bayes' rule over the experts'
 * own language models (S14, "DEMix Layers", section 4.2). Everything is in logarithms and F64, so
 * long texts neither underflow nor lose a domain for ever by rounding.
 */
public final class DomainPosterior {
  /** Decay of {@link #average} in the paper. */
  public static final double DECAY = 0.3;

  /** Which of the tokens before count. */
  public enum History {
    /** All since the sequence began: the paper's rule. */
    FULL,
    /**
     * The last one alone, and none of the prior at a sequence's first token: what the released code
     * computes.
     */
    LAST_TOKEN
  }

  private DomainPosterior() {}

  /**
   * The logarithm of the weight of each of n domains at each token, from the tokens before it
   * alone: {@code log w_j(t) = log P(D=j) + sum_{s<t} log p_j(x_s)}, normalised.
   *
   * @param likelihood log p_j(x_t | x_<t) [B,S,n]; 0 where a token is not scored
   * @param prior P(D=j) [n]; 0 rules a domain out
   * @return [B,S,n] F64
   */
  public static Tensor logWeights(Tensor likelihood, double[] prior, History history) {
    Tensor logs = likelihood.to(DType.F64);
    long b = logs.size(0);
    long s = logs.size(1);
    long n = logs.size(2);
    Tensor log = logPrior(prior, n).to(logs.device());
    if (s == 0) {
      return logs;
    }
    Tensor none = Tensor.zeros(DType.F64, logs.device(), b, 1, n);
    Tensor before = Tensor.cat(List.of(none, logs.narrow(1, 0, s - 1)), 1);
    if (history == History.FULL) {
      return normalised(before.cumsum(1).add(log));
    }
    Tensor later = before.narrow(1, 1, s - 1).add(log);
    return normalised(Tensor.cat(List.of(none, later), 1));
  }

  /** {@code log} with exponentials that sum to 1 along the last dimension. */
  public static Tensor normalised(Tensor log) {
    return log.sub(log.logsumexp(-1, true));
  }

  /** The logarithms of a prior [n], F64. */
  private static Tensor logPrior(double[] prior, long n) {
    return Tensor.of(Arrays.stream(normalised(prior, n)).map(Math::log).toArray());
  }

  /**
   * A prior that sums to 1.
   *
   * @throws MoeException unless it has n numbers of at least 0 that are not all 0
   */
  public static double[] normalised(double[] prior, long n) {
    double sum = Arrays.stream(prior).sum();
    if (prior.length != n
        || Arrays.stream(prior).anyMatch(p -> !(p >= 0))
        || !(sum > 0)
        || Double.isInfinite(sum)) {
      throw new MoeException(
          "a prior over "
              + n
              + " domains needs as many numbers of at least 0, not all 0; it is "
              + Arrays.toString(prior));
    }
    return Arrays.stream(prior).map(p -> p / sum).toArray();
  }

  /**
   * The logarithm of the mixture's probabilities: {@code log sum_j w_j p_j}. Probabilities are
   * mixed, never logits or hidden states.
   *
   * @param likelihood log p_j [..., n]
   * @param logWeights log w_j [..., n]
   * @return [...] F64
   */
  public static Tensor mixed(Tensor likelihood, Tensor logWeights) {
    return likelihood.to(DType.F64).add(logWeights).logsumexp(-1, false);
  }

  /**
   * The prior after a batch: {@code (1 - decay) prior + decay posterior}; the first posterior as it
   * is, if no batch came before (the uniform prior counts for nothing).
   */
  public static double[] average(double[] prior, double[] posterior, boolean first, double decay) {
    if (prior.length != posterior.length || !(decay >= 0 && decay <= 1)) {
      throw new MoeException(
          "a prior over "
              + prior.length
              + " domains and a posterior over "
              + posterior.length
              + ", decay "
              + decay
              + "; give equal lengths and 0 <= decay <= 1");
    }
    double[] next = posterior.clone();
    if (!first) {
      Arrays.setAll(next, j -> (1 - decay) * prior[j] + decay * posterior[j]);
    }
    return next;
  }
}
