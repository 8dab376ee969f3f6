package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** Labels to experts (S14). */
class DemixRouterTest extends InScope {
  private static final int D = 6;

  private static MoeConfig config(int experts, Map<String, Object> options) {
    return MoeConfig.builder(D, 4, experts, 1).router("demix", options).build();
  }

  private static Router router(int experts, Map<String, Object> options) {
    return new MoeLayer(config(experts, options), wide(1), 2).router();
  }

  private static Tensor labels(long... labels) {
    return Tensor.of(labels);
  }

  private long[] chosen(Router router, TokenContext context) {
    TokenChoice plan = (TokenChoice) router.route(normal(context.tokens(), D), context);
    return plan.experts().toLongs();
  }

  @Test
  void everyTextGoesToItsDomainsExpertWhateverElseIsInTheBatch() {
    Router router = router(4, Map.of());
    TokenContext context =
        TokenContext.train(2, 4, random).withDomains(labels(2, 2, 0, 0, 3, 3, 3, 3));
    assertThat(chosen(router, context)).containsExactly(2, 2, 0, 0, 3, 3, 3, 3);
  }

  @Test
  void separatorsGoWithTheTextBeforeThem() {
    Router router = router(4, Map.of());
    long[] raw = {-1, 1, 1, -1, 2, 2, -1, 3};
    assertThat(chosen(router, TokenContext.train(1, 8, random).withDomains(labels(raw))))
        .containsExactly(1, 1, 1, 1, 2, 2, 2, 3);
    // Nothing is known before the first label, and a later one may not be looked at.
    ((DemixRouter) router).prior(new double[] {1, 1, 5, 3}, 1);
    assertThat(chosen(router, TokenContext.eval(1, 8).withDomains(labels(raw))))
        .containsExactly(2, 1, 1, 1, 2, 2, 2, 3);
    assertThat(chosen(router, TokenContext.decode(2, 1))).containsExactly(2, 2);
  }

  @Test
  void missingAndWrongLabelsAreRefusedInTraining() {
    Router router = router(4, Map.of());
    TokenContext train = TokenContext.train(1, 4, random);
    Tensor x = normal(4, D);
    HashRouterTest.refused(() -> router.route(x, train), "demix", "withDomains");
    HashRouterTest.refused(
        () -> router.route(x, train.withDomains(labels(1, -1, -1, 1))), "tokens 1 and 2", "label");
    TokenContext single = TokenContext.train(1, 1, random).withDomains(labels(-1));
    HashRouterTest.refused(() -> router.route(normal(1, D), single), "token 0", "no domain");
    for (TokenContext c : new TokenContext[] {train, TokenContext.eval(1, 4)}) {
      HashRouterTest.refused(
          () -> router.route(x, c.withDomains(labels(1, 1, 4, 1))), "token 2", "domain 4", "4");
    }
  }

  @Test
  void moreDomainsShareExpertsInTurnIfSaid() {
    Router router = router(4, Map.of("domains", 10));
    TokenContext context = TokenContext.train(1, 4, random).withDomains(labels(9, 3, 4, 0));
    assertThat(chosen(router, context)).containsExactly(1, 3, 0, 0);
    HashRouterTest.refused(
        () -> router.route(normal(1, D), TokenContext.eval(1, 1).withDomains(labels(10))),
        "domain 10");
    HashRouterTest.refused(() -> router(4, Map.of("domains", 3)), "3", "4 experts");
  }

  @Test
  void thePriorIsOneStateOfTheWholeModel() {
    ParameterStore store = wide(1);
    DemixRouter a =
        (DemixRouter) new MoeLayer(config(4, Map.of()), store.under("layers.0.moe"), 0).router();
    DemixRouter b =
        (DemixRouter) new MoeLayer(config(4, Map.of()), store.under("layers.1.moe"), 1).router();
    assertThat(a.prior()).containsExactly(0.25, 0.25, 0.25, 0.25);
    a.prior(new double[] {1, 1, 2, 0}, 7);
    assertThat(b.prior()).containsExactly(0.25, 0.25, 0.5, 0);
    assertThat(b.batches()).isEqualTo(7);
    assertThat(store.named("demix.prior").role()).isEqualTo(new Role.State(0));
    HashRouterTest.refused(() -> a.prior(new double[3], 1), "4 domains");
    HashRouterTest.refused(
        () -> new MoeLayer(config(3, Map.of()), store.under("layers.2.moe"), 2), "3", "4");
  }

  /** With one domain the layer is the dense network, bit for bit. */
  @Test
  void oneDomainIsTheDenseNetwork() {
    for (DType type : new DType[] {DType.F32, DType.F64}) {
      ParameterStore store = new ParameterStore(new RandomSource(3), Device.CPU, type);
      for (ExpertForm form :
          new ExpertForm[] {ExpertForm.SWIGLU, ExpertForm.RELU.withBiases(true)}) {
        ParameterStore own = store.under(form.toString());
        FeedForward dense =
            new FeedForward(form, D, 4, Role.NON_EXPERT, InitScheme.T5, own.under("dense"));
        MoeConfig config = MoeConfig.builder(D, 4, 1, 1).router("demix").form(form).build();
        MoeLayer layer = new MoeLayer(config, own.under("moe"));
        FeedForwardExperts experts = (FeedForwardExperts) layer.experts();
        experts.in().tensor().detach().select(0, 0).copyInPlace(dense.in().tensor().detach());
        experts.out().tensor().detach().select(0, 0).copyInPlace(dense.out().tensor().detach());
        Tensor x = normal(20, D).to(type);
        TokenContext context = TokenContext.eval(1, 20).withDomains(Tensor.of(new long[20]));
        assertThat(layer.forward(x, context).output().toDoubles())
            .containsExactly(dense.forward(x).toDoubles());
      }
    }
  }
}
