package org.moe4j.train.route;

import org.moe4j.train.report.Information;

/**
 * What a token's expert tells of its domain.
 *
 * @param bits the mutual information of domain and expert over all choices
 * @param chance its mean when the domains are shuffled among stretches of text: what text that does
 *     not differ would show
 * @param chanceMost its maximum over these shuffles
 * @param normalised what {@code bits} has above {@code chance}, of the most it could have, 0..1:
 *     the smaller one of the entropies of domain and expert
 */
public record Specialisation(double bits, double chance, double chanceMost, double normalised) {
  /**
   * Of the counts as they are and as shuffles have them.
   *
   * @param counts choices [D][E]
   * @param shuffled the mutual information after each shuffle, in bits; at least one
   */
  static Specialisation of(double[][] counts, double[] shuffled) {
    double bits = Information.mutual(counts);
    double sum = 0;
    double most = 0;
    for (double s : shuffled) {
      sum += s;
      most = Math.max(most, s);
    }
    double chance = sum / shuffled.length;
    double[] domains = new double[counts.length];
    for (int d = 0; d < counts.length; d++) {
      for (double count : counts[d]) {
        domains[d] += count;
      }
    }
    double[] experts = Information.columns(counts, counts[0].length);
    double bound = Math.min(Information.entropy(domains), Information.entropy(experts));
    return new Specialisation(
        bits, chance, most, bound > 0 ? Math.max(0, bits - chance) / bound : 0);
  }
}
