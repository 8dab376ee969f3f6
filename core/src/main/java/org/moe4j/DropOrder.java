package org.moe4j;

/** Who is served first when an expert has more choices than slots. */
public enum DropOrder {
  /** Token by token, each with all of its choices: earlier tokens win. */
  TOKEN,
  /** All first choices in token order, then all second ones, and so on (GShard, V-MoE). */
  CHOICE,
  /**
   * Like {@link #CHOICE}, but tokens with the highest top score come first: batch prioritised
   * routing (S12).
   */
  PRIORITY,
  /** Like {@link #PRIORITY} by the sum of a token's k scores, the other rule that S12 tried. */
  PRIORITY_SUM;

  /** True if tokens are served by score, whatever their place. */
  public boolean byScore() {
    return this == PRIORITY || this == PRIORITY_SUM;
  }
}
