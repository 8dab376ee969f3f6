package org.moe4j.train.route;

/**
 * How often a token goes where the token before it went (Mixtral, section 5, table 5). All shares
 * are 0..1, NaN where nothing is there to be compared.
 *
 * @param pairs the pairs of neighbours that were compared
 * @param first how often both have the same first choice
 * @param firstChance the same for two tokens taken anywhere: what the loads alone imply
 * @param either how often the first two choices of both have an expert in common; NaN if a token
 *     has one choice
 * @param eitherChance the same for two tokens taken anywhere; NaN where there are too many experts
 *     to count their pairs
 * @param overlap the mean share of a token's experts that the one before had too
 * @param overlapChance the same for two tokens taken anywhere
 */
public record Repetition(
    long pairs,
    double first,
    double firstChance,
    double either,
    double eitherChance,
    double overlap,
    double overlapChance) {
  /** What {@link #first} is with E experts that are used evenly and by chance: 1 / E. */
  public static double evenFirst(int experts) {
    return 1.0 / experts;
  }

  /** What {@link #either} is then: 1 - C(E-2, 2) / C(E, 2). */
  public static double evenEither(int experts) {
    double e = experts;
    return experts < 4 ? 1 : 1 - (e - 2) * (e - 3) / (e * (e - 1));
  }
}
