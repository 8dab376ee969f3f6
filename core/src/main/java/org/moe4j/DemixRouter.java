package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * DEMix layers: one expert for each labelled domain, weight 1, nothing learned (S14, "DEMix Layers:
 * Disentangling Domains for Modular Language Modeling", section 3). Domain j belongs to expert j;
 * if option {@code domains} says that there are more domains than experts, to expert j mod E.
 *
 * <p>Labels are per token, so a batch and even a sequence may mix domains: each text goes to its
 * own expert. In training a text without a label and a label out of range are refused. Where the
 * domain is unknown in evaluation or decoding, one pass can only follow one expert, here the one of
 * the largest prior; the mixture over domains takes a pass for each expert, see the models' {@code
 * DomainMixture}.
 *
 * <p>A batch's gradient is the mean over all of its tokens, so that an expert's is scaled by its
 * share of them, as in the released code (group over world size); the paper's rule, the mean over
 * the expert's own tokens, differs by that factor, which Adam does not see but for clipping and
 * epsilon.
 *
 * <p>State, one for the whole model: {@code demix.prior} [E] F64, the prior over experts, and
 * {@code demix.batches} [1] I64, how many batches it was estimated from (0: uniform).
 */
public final class DemixRouter implements Router {
  private static final String NAME = "demix";

  private final int experts;
  private final int domains;
  private final Parameter prior;
  private final Parameter batches;

  private DemixRouter(RouterSetup setup) {
    this.experts = setup.config().experts();
    this.domains = domains(setup.config());
    try (Scope scope = Scope.open()) {
      double[] even = new double[experts];
      Arrays.fill(even, 1.0 / experts);
      ParameterStore store = setup.store();
      this.prior = store.sharedState("demix.prior", setup.layer(), Tensor.of(even));
      this.batches = store.sharedState("demix.batches", setup.layer(), Tensor.of(new long[1]));
    }
    if (prior.tensor().numel() != experts) {
      throw new MoeException(
          "router \"demix\": layer "
              + setup.layer()
              + " has "
              + experts
              + " experts, an earlier one "
              + prior.tensor().numel()
              + "; all layers follow the same domains");
    }
  }

  static RouterEntry entry() {
    return RouterEntry.of(NAME, "S14", "DEMix: each labelled domain has an expert")
        .causality(Causality.PAST)
        .taxonomy(
            HashRouter.FIXED
                .with("unit", "domain")
                .with("placement", "feed-forward + every layer")
                .with("experts", "few large"))
        .options(
            OptionKey.whole(
                "domains",
                0,
                "domains of the text, which share experts in turn if they are more; 0: as many as"
                    + " experts"))
        .unscored()
        .choices(1)
        .flops(c -> 0)
        .valid(DemixRouter::domains)
        .build(DemixRouter::new, c -> 0);
  }

  private static int domains(MoeConfig config) {
    int domains = config.routerEntry().check(config).whole("domains");
    if (domains != 0 && domains < config.experts()) {
      throw new MoeException(
          "router \"demix\" has a domain for each expert: "
              + domains
              + " domains are too few for "
              + config.experts()
              + " experts; set moe.experts to "
              + domains);
    }
    return Math.max(domains, config.experts());
  }

  /** Whether several domains share an expert. */
  public boolean shared() {
    return domains > experts;
  }

  /** The prior over experts [E]. */
  public double[] prior() {
    return prior.tensor().toDoubles();
  }

  /** How many batches the prior was estimated from. */
  public long batches() {
    return batches.tensor().toLongs()[0];
  }

  /**
   * Sets the prior of the whole model.
   *
   * @param prior of each expert [E]; it is normalised
   * @param batches it was estimated from; 0 if it is a start that the first estimate replaces
   */
  public void prior(double[] prior, long batches) {
    try (Scope scope = Scope.open()) {
      this.prior.tensor().copyInPlace(Tensor.of(DomainPosterior.normalised(prior, experts)));
      this.batches.tensor().copyInPlace(Tensor.of(new long[] {batches}));
    }
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    long[] choice = DomainLabels.of(context, NAME, domains, "domains or moe.experts");
    if (Arrays.stream(choice).anyMatch(d -> d == DomainLabels.UNKNOWN)) {
      int likeliest = likeliest();
      Arrays.setAll(choice, t -> choice[t] == DomainLabels.UNKNOWN ? likeliest : choice[t]);
    }
    Arrays.setAll(choice, t -> choice[t] % experts);
    return FixedRule.plan(experts, choice, x, context);
  }

  private int likeliest() {
    double[] p = prior();
    int best = 0;
    for (int e = 1; e < experts; e++) {
      best = p[e] > p[best] ? e : best;
    }
    return best;
  }
}
