package org.moe4j.models;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.moe4j.DemixRouter;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Adding, removing and training single experts of a DEMix model (S14, "DEMix Layers", sections 5
 * and 6). Every other weight keeps every bit.
 */
public final class DomainExperts {
  private DomainExperts() {}

  /**
   * A new model with one expert more, a copy of {@code copied}, for a domain with the next number.
   * Its prior is 0, so what the mixture says is unchanged until the prior is estimated anew. To
   * adapt to a new domain: estimate the prior on its text, copy the likeliest expert, {@link
   * #trainOnly train the copy alone} on text of the new label, estimate the prior again.
   *
   * @param model stays the caller's, as the result is
   */
  public static Decoder add(Decoder model, int copied) {
    DemixRouter router = router(model, copied);
    double[] prior = router.prior();
    long[] order = LongStream.range(0, prior.length + 1).toArray();
    order[prior.length] = copied;
    return rebuilt(model, order, Arrays.copyOf(prior, order.length), router.batches());
  }

  /**
   * A new model without {@code expert}; the domains behind it move up by one. The others' prior is
   * normalised; if all of it was the expert's, it begins anew, uniform.
   *
   * @param model stays the caller's, as the result is
   */
  public static Decoder remove(Decoder model, int expert) {
    DemixRouter router = router(model, expert);
    double[] prior = router.prior();
    if (prior.length == 1) {
      throw new MoeException("the model's only expert cannot be removed; use a dense model");
    }
    int[] rest = IntStream.range(0, prior.length).filter(j -> j != expert).toArray();
    double[] left = Arrays.stream(rest).mapToDouble(j -> prior[j]).toArray();
    boolean none = Arrays.stream(left).sum() == 0;
    if (none) {
      Arrays.fill(left, 1);
    }
    long[] order = Arrays.stream(rest).asLongStream().toArray();
    return rebuilt(model, order, left, none ? 0 : router.batches());
  }

  /** Freezes all of the model but one expert of every layer. */
  public static void trainOnly(Decoder model, int expert) {
    router(model, expert);
    for (Parameter p : model.parameters().all()) {
      if (p.role() instanceof Role.RoutedExperts) {
        p.trainOnly(expert);
      } else if (!(p.role() instanceof Role.State)) {
        p.freeze();
      }
    }
  }

  private static DemixRouter router(Decoder model, int expert) {
    double[] prior = new DomainMixture(model).prior();
    if (expert < 0 || expert >= prior.length) {
      throw new MoeException(
          "there is no expert " + expert + "; the model has 0 to " + (prior.length - 1));
    }
    return (DemixRouter)
        model.blocks().stream().flatMap(b -> b.moe().stream()).findFirst().orElseThrow().router();
  }

  private static Decoder rebuilt(Decoder model, long[] order, double[] prior, long batches) {
    ParameterStore old = model.parameters();
    ParameterStore store = new ParameterStore(new RandomSource(0), old.device(), old.dtype());
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      Decoder made = new Decoder(config(model.config(), order.length), store);
      for (Parameter p : store.all()) {
        Tensor from = old.named(p.name()).tensor();
        if (p.role() instanceof Role.RoutedExperts) {
          p.tensor().copyInPlace(from.indexSelect(0, Tensor.of(order).to(from.device())));
        } else if (Arrays.equals(from.shape(), p.tensor().shape())) {
          p.tensor().copyInPlace(from);
        }
      }
      router(made, 0).prior(prior, batches);
      return made.withPrecision(model.precision());
    } catch (RuntimeException e) {
      store.close();
      throw e;
    }
  }

  private static DecoderConfig config(DecoderConfig c, int experts) {
    List<FeedForwardConfig> layers = new ArrayList<>();
    for (FeedForwardConfig f : c.feedForward()) {
      layers.add(
          f instanceof FeedForwardConfig.Moe(MoeConfig moe)
              ? new FeedForwardConfig.Moe(config(moe, experts))
              : f);
    }
    return c.toBuilder().feedForward(layers).build();
  }

  private static MoeConfig config(MoeConfig moe, int experts) {
    Map<String, Object> options = new HashMap<>(moe.routerOptions());
    Object domains = options.remove("domains");
    if (domains != null && Long.parseLong(domains.toString()) > moe.experts()) {
      throw new MoeException(
          domains
              + " domains share "
              + moe.experts()
              + " experts; only models with an expert for each domain can gain or lose one");
    }
    return moe.toBuilder().experts(experts).router(moe.router(), options).build();
  }
}
