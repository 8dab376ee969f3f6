package org.moe4j.train.route;

/**
 * A token that an expert is given more often than others are.
 *
 * @param token its text
 * @param count how often this expert was chosen for it
 * @param share of all choices for this token, 0..1
 * @param pmi pointwise mutual information of token and expert in bits: 1 if the expert is chosen
 *     for this token twice as often as for all text
 */
public record ExpertToken(String token, double count, double share, double pmi) {}
