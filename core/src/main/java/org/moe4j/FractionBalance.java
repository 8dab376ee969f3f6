package org.moe4j;

import java.util.List;
import org.moe4j.tensor.Tensor;

/**
 * The family of losses that multiply f, the fraction of tokens sent to an expert, by P, its mean
 * probability: the mean over groups of {@code scale * sum_e f_e P_e}. Counts are constants; the
 * gradient flows through P alone. The members differ in what they count, average and divide by, so
 * these are data and the named forms say whose they are.
 *
 * @param name in configuration files
 * @param group tokens of one average
 * @param counted which choices f counts
 * @param perChoice whether counts are divided by k, so that f sums to 1
 * @param padding how padding tokens enter
 * @param scaling the factor before the sum
 */
public record FractionBalance(
    String name,
    Grouping group,
    Counted counted,
    boolean perChoice,
    Padding padding,
    Scaling scaling)
    implements Balance {

  /** How padding tokens enter f and P; they are never counted in f's numerator. */
  public enum Padding {
    /** Not at all. */
    EXCLUDED,
    /** In the divisors of f and P only (GShard's legacy rule). */
    IN_DIVISOR,
    /** In the divisors and in the sum of P (fairseq). */
    IN_MEAN
  }

  /** The factor before the sum over experts. */
  public enum Scaling {
    /** E: the value of even use is 1 (or k if f counts all choices without division). */
    TIMES_EXPERTS,
    /** 1/E, as GShard's paper prints it. */
    OVER_EXPERTS
  }

  /** Switch (S06), ST-MoE (S18), GShard's non-legacy code: first choices, 1 at even use. */
  public static FractionBalance switchLoss(Grouping group) {
    return new FractionBalance(
        "switch", group, Counted.FIRST, false, Padding.EXCLUDED, Scaling.TIMES_EXPERTS);
  }

  /** GShard's code (S05): E^2 times the mean over experts of f m; divided by S with padding. */
  public static FractionBalance gshard(Grouping group) {
    return new FractionBalance(
        "gshard", group, Counted.FIRST, false, Padding.IN_DIVISOR, Scaling.TIMES_EXPERTS);
  }

  /** GShard's paper (S05): {@code (1/E) sum_e f_e m_e}, E^2 times smaller than the code's. */
  public static FractionBalance gshardPaper(Grouping group) {
    return new FractionBalance(
        "gshard-paper", group, Counted.FIRST, false, Padding.IN_DIVISOR, Scaling.OVER_EXPERTS);
  }

  /** fairseq (S16): first choices, the mean gate over all rows. */
  public static FractionBalance fairseq() {
    return new FractionBalance(
        "fairseq", Grouping.BATCH, Counted.FIRST, false, Padding.IN_MEAN, Scaling.TIMES_EXPERTS);
  }

  /** transformers' Mixtral (S34) and Flaxformer (S18): all k choices, k at even use. */
  public static FractionBalance mixtral(Grouping group) {
    return new FractionBalance(
        "mixtral", group, Counted.ALL, false, Padding.EXCLUDED, Scaling.TIMES_EXPERTS);
  }

  /** MegaBlocks (S25): all k choices divided by k, 1 at even use. */
  public static FractionBalance megablocks() {
    return new FractionBalance(
        "megablocks", Grouping.BATCH, Counted.ALL, true, Padding.EXCLUDED, Scaling.TIMES_EXPERTS);
  }

  /**
   * DeepSeekMoE's expert-level loss (S36): all k choices divided by k.
   *
   * @param perSequence averages per sequence (the code's {@code seq_aux}), else over the batch
   */
  public static FractionBalance deepSeekExpert(boolean perSequence) {
    return new FractionBalance(
        "deepseek-expert",
        perSequence ? Grouping.SEQUENCE : Grouping.BATCH,
        Counted.ALL,
        true,
        Padding.EXCLUDED,
        Scaling.TIMES_EXPERTS);
  }

  /** The same loss averaged over other groups. */
  public FractionBalance over(Grouping groups) {
    return new FractionBalance(name, groups, counted, perChoice, padding, scaling);
  }

  /**
   * The two factors of a layer, for models that pool layers before they multiply.
   *
   * @param fraction f [G,E], constant
   * @param probability P [G,E], with gradient
   */
  public record Parts(Tensor fraction, Tensor probability) {}

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(group, counted, "through P; the counts are constants");
  }

  /** f and P of one layer. */
  public Parts parts(Routing routing, TokenContext context) {
    TokenChoice r = TokenChoices.require(routing, name);
    Tensor p = TokenChoices.require(r.evidence().probabilities(), "probabilities", name);
    int groups = Math.toIntExact(group.groups(context));
    long size = group.groupSize(context);
    int experts = r.expertCount();
    Tensor summed = padding == Padding.IN_MEAN ? p : TokenChoices.onlyReal(p, context);
    Tensor divisor =
        padding == Padding.EXCLUDED
            ? TokenChoices.realTokens(context, groups, p)
            : Tensor.full((double) size, p.dtype(), p.device(), groups, 1);
    Tensor counts =
        TokenChoices.histogram(TokenChoices.counted(r, counted), experts, groups, p.dtype());
    Tensor share = counts.div(divisor);
    Tensor mean = summed.reshape(groups, size, experts).sum(1, false).div(divisor);
    return new Parts(perChoice ? share.div(r.k()) : share, mean);
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    if (context.tokens() == 0) {
      return TokenChoices.zero(TokenChoices.require(routing, name).weights());
    }
    Parts parts = parts(routing, context);
    return scaled(parts.fraction().mul(parts.probability()), routing.expertCount())
        .sum(1, false)
        .mean();
  }

  /**
   * One loss over several layers as if their tokens were one batch (transformers' Mixtral): f and P
   * are averaged over layers and groups before they are multiplied.
   */
  public Tensor pooled(List<Parts> layers) {
    Tensor f = Tensor.cat(layers.stream().map(Parts::fraction).toList(), 0).mean(0, false);
    Tensor p = Tensor.cat(layers.stream().map(Parts::probability).toList(), 0).mean(0, false);
    return scaled(f.mul(p), (int) f.size(0)).sum();
  }

  private Tensor scaled(Tensor product, int experts) {
    return scaling == Scaling.TIMES_EXPERTS ? product.mul(experts) : product.div(experts);
  }
}
