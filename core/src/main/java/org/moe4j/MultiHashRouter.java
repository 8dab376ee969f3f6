package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * MultiHash layers (S13, "Hash Layers For Large Sparse Models", section 3.2): N = top-k independent
 * random tables; table m chooses which expert computes segment m of a token's feed-forward network,
 * see {@link MultiHashExperts}. A token costs as much as one expert, of E^N different ones.
 *
 * <p>State: {@code gate.tables} [N,V] I64.
 */
public final class MultiHashRouter implements Router {
  private static final String NAME = "multi-hash";

  private final int experts;
  private final int segments;
  private final int vocab;
  private final Parameter tables;

  private MultiHashRouter(RouterSetup setup) {
    this.experts = setup.config().experts();
    this.segments = setup.config().topK();
    this.vocab = TokenIds.vocab(setup.config(), setup.options());
    long seed = HashTables.mix(setup.options().whole("seed")) + setup.layer();
    long[] all = new long[segments * vocab];
    for (int m = 0; m < segments; m++) {
      long own = HashTables.mix(seed) + m;
      System.arraycopy(HashTables.random(vocab, experts, own), 0, all, m * vocab, vocab);
    }
    this.tables = HashRouter.state(setup, "gate.tables", all, segments, vocab);
  }

  static RouterEntry entry() {
    return RouterEntry.of(
            NAME, "S13", "MultiHash layers: top-k tables choose the segments of one expert")
        .form(RoutingForm.RETRIEVAL)
        .taxonomy(HashRouter.FIXED.with("choices", "n"))
        .options(TokenIds.vocabKey(), HashRouter.seedKey())
        .unscored()
        .flops(c -> 0)
        .valid(MultiHashRouter::check)
        .bank(
            new RouterEntry.Bank(
                MultiHashExperts::new,
                c -> c.experts() * c.form().parameters(c.width(), c.expertWidth()),
                c -> c.form().parameters(c.width(), c.expertWidth()),
                c -> 2L * c.form().matrices() * c.width() * c.expertWidth()))
        .build(MultiHashRouter::new, c -> 0);
  }

  private static void check(MoeConfig c) {
    TokenIds.vocab(c, c.routerEntry().check(c));
    if (c.width() % c.topK() != 0 || c.expertWidth() % c.topK() != 0) {
      throw new MoeException(
          "router \"multi-hash\" divides an expert into top-k segments; top-k "
              + c.topK()
              + " does not divide both the width "
              + c.width()
              + " and the expert width "
              + c.expertWidth());
    }
  }

  @Override
  public Retrieval route(Tensor x, TokenContext context) {
    FixedRule.finite(x, context);
    long[] table = tables.tensor().toLongs();
    long[] ids = TokenIds.of(context, NAME, vocab);
    long[] chosen = new long[ids.length * segments];
    for (int i = 0; i < chosen.length; i++) {
      long id = ids[i / segments];
      chosen[i] = id == TokenIds.NONE ? -1 : table[i % segments * vocab + (int) id];
    }
    Tensor choices = Tensor.of(chosen, ids.length, segments).to(x.device());
    Tensor ones = FixedRule.ones(x, segments);
    Tensor weights = ones.mul(choices.ge(0).to(ones.dtype()));
    return new Retrieval(experts, choices, weights, Evidence.none());
  }
}
