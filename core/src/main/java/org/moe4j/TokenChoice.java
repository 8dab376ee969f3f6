package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Every token chooses k experts.
 *
 * @param expertCount E
 * @param choices [T,k] I64: the router's selection before anything was refused; -1 for padding
 * @param wanted [T,k] BOOL: the choices to be served, before capacity drops any
 * @param experts [T,k] I64: the choices that are served; -1 where one is not
 * @param weights [T,k]: combine weights with gradient, 0 where no expert is served
 * @param selected [T,k]: scores of the choices before renormalisation and scale
 * @param gating how weights follow from scores
 * @param evidence what the router computed on its way
 */
public record TokenChoice(
    int expertCount,
    Tensor choices,
    Tensor wanted,
    Tensor experts,
    Tensor weights,
    Tensor selected,
    Gating gating,
    Evidence evidence)
    implements Routing {

  /**
   * A routing that serves all choices which are not -1.
   *
   * @param choices [T,k] I64
   * @param selected [T,k] scores of the choices, turned into weights as {@code gating} says
   */
  public static TokenChoice of(
      int expertCount, Tensor choices, Tensor selected, Gating gating, Evidence evidence) {
    return of(expertCount, choices, choices.ge(0), selected, gating, evidence);
  }

  /** A routing that serves the {@code wanted} ones among the choices. */
  public static TokenChoice of(
      int expertCount,
      Tensor choices,
      Tensor wanted,
      Tensor selected,
      Gating gating,
      Evidence evidence) {
    return new TokenChoice(
        expertCount,
        choices,
        wanted,
        choices.maskedFill(wanted.not(), -1),
        gating.weights(selected, wanted),
        selected,
        gating,
        evidence);
  }

  /** T. */
  public long tokens() {
    return choices.size(0);
  }

  /** k. */
  public int k() {
    return (int) choices.size(1);
  }

  /** [T,k] I64: the wanted choices before drops; -1 where none is wanted. */
  public Tensor asked() {
    return choices.maskedFill(wanted.not(), -1);
  }

  /** [T,k] BOOL: the choices that are served. */
  public Tensor kept() {
    return experts.ge(0);
  }

  /**
   * This routing when only {@code kept} of its wanted choices find room. The others' weights become
   * 0; those of the rest are renormalised only if the gating says so.
   *
   * @param kept [T,k] BOOL
   */
  public TokenChoice keeping(Tensor kept) {
    Tensor served = kept.and(wanted);
    return new TokenChoice(
        expertCount,
        choices,
        wanted,
        choices.maskedFill(served.not(), -1),
        gating.weights(selected, served),
        selected,
        gating,
        evidence);
  }

  /** This routing without the padding tokens: they choose nothing and take no slot. */
  public TokenChoice onlyReal(TokenContext context) {
    return context.padding().map(real -> onlyReal(real.unsqueeze(1))).orElse(this);
  }

  private TokenChoice onlyReal(Tensor rows) {
    return of(
        expertCount,
        choices.maskedFill(rows.not(), -1),
        wanted.and(rows),
        selected,
        gating,
        evidence);
  }

  /**
   * The same scores with other choices.
   *
   * @param others [T,k] I64
   * @param wanted [T,k] BOOL: which of them are to be served
   * @throws MoeException if the router left no scores to weigh them with
   */
  public TokenChoice choosing(Tensor others, Tensor wanted) {
    Tensor scores =
        evidence
            .scores()
            .orElseThrow(
                () ->
                    new MoeException(
                        "this router leaves no scores, so its choices cannot be replaced"));
    return of(expertCount, others, wanted, gating.selected(scores, others), gating, evidence);
  }
}
