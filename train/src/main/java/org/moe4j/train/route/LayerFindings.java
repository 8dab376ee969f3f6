package org.moe4j.train.route;

import java.util.List;
import java.util.Optional;
import org.moe4j.train.report.LayerRouting;

/**
 * What was found of one sparse layer. What its kind of routing does not define is absent.
 *
 * @param load the choices by domain and expert, at any rank
 * @param k choices of a token; 0 where tokens do not choose
 * @param first first choices by domain and expert [D][E]; empty where tokens do not choose
 * @param second second choices by domain and expert [D][E]; empty for fewer than two
 * @param specialisation absent for a single domain
 * @param byDomain the repetition in each domain [D], or empty
 * @param coactivation absent for fewer than two choices, or too many experts
 * @param router cosines of the router's rows
 * @param experts cosines of the experts' weights
 * @param tokens the tokens that set each expert apart [E]
 * @param note why something is absent, or empty
 */
public record LayerFindings(
    LayerRouting load,
    int k,
    double[][] first,
    double[][] second,
    Optional<Specialisation> specialisation,
    Optional<Confidence> confidence,
    Optional<Repetition> repetition,
    List<Repetition> byDomain,
    Optional<Coactivation> coactivation,
    Optional<Similarity> router,
    Optional<Similarity> experts,
    List<List<ExpertToken>> tokens,
    String note) {
  /** The block's index in the model. */
  public int layer() {
    return load.layer();
  }
}
