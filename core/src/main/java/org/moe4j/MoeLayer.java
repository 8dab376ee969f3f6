package org.moe4j;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * A Mixture-of-Experts layer: tokens, router, routing, capacity, dispatcher, experts, combine. It
 * is the feed-forward part of a block alone; norm and residual are the block's.
 *
 * <p>Parameters, in the store given: {@code gate.*} of the router, {@code experts.w_in}, {@code
 * experts.w_out} (biases {@code experts.b_in}, {@code experts.b_out}), {@code shared.*}, {@code
 * output_bias}; as state {@code balance.*}, coefficients that adapt.
 */
public final class MoeLayer {
  private final MoeConfig config;
  private final int layer;
  private final Causality causality;
  private final Router router;
  private final ExpertBank experts;
  private final @Nullable Surround surround;
  private final @Nullable SharedExpert shared;
  private final @Nullable Parameter outputBias;
  private final Dispatcher<?> dispatcher;
  private final Map<BalanceTerm, AdaptiveCoefficient> adaptive;

  /** A layer with its own parameters in {@code store}. */
  public MoeLayer(MoeConfig config, ParameterStore store) {
    this(config, store, 0);
  }

  /**
   * The layer with index {@code layer} of a model.
   *
   * @param store gives the parameters their name space, for instance {@code
   *     store.under("layers.3.moe")}
   */
  public MoeLayer(MoeConfig config, ParameterStore store, int layer) {
    this(config, store, layer, null);
  }

  /**
   * The layer around routed experts which the caller holds: in {@code store} are the others'
   * parameters.
   */
  public static MoeLayer around(
      Experts experts, MoeConfig config, ParameterStore store, int layer) {
    if (experts.count() != config.experts()) {
      throw new MoeException(
          "layer "
              + layer
              + ": given "
              + experts.count()
              + " experts, the configuration has "
              + config.experts());
    }
    return new MoeLayer(config, store, layer, experts);
  }

  private MoeLayer(MoeConfig config, ParameterStore store, int layer, @Nullable Experts given) {
    this.config = config;
    this.layer = layer;
    RouterEntry entry = config.routerEntry();
    entry.validate(config);
    this.causality = config.causality();
    Options options = entry.check(config);
    MoeConfig inside = config.inside();
    RouterSetup within = new RouterSetup(inside, options, store, layer);
    Router made = entry.maker().apply(within);
    this.router = config.forceBalance() ? new ForcedBalanceRouter(made) : made;
    this.experts =
        given != null
            ? given
            : entry
                .bank()
                .map(
                    bank ->
                        bank.maker()
                            .apply(new RouterSetup(inside, options, store.under("experts"), layer)))
                .orElseGet(() -> feedForward(inside, store, layer));
    this.surround =
        entry
            .surrounding()
            .map(s -> s.maker().apply(new RouterSetup(config, options, store, layer)))
            .orElse(null);
    this.shared =
        config.sharedWidth() == 0
            ? null
            : new SharedExpert(
                config.sharedForm(),
                config.width(),
                config.sharedWidth(),
                config.sharedGate(),
                config.init(),
                store.under("shared"),
                layer);
    this.outputBias =
        config.outputBias()
            ? store.create("output_bias", Role.NON_EXPERT, Init.zeros(), config.width())
            : null;
    this.dispatcher = config.dispatch().dispatcher();
    this.adaptive = adaptive(config, store, layer);
  }

  private static Map<BalanceTerm, AdaptiveCoefficient> adaptive(
      MoeConfig config, ParameterStore store, int layer) {
    Map<BalanceTerm, AdaptiveCoefficient> made = new LinkedHashMap<>();
    for (BalanceTerm term : config.balance()) {
      if (term.loss() instanceof AdaptiveBalance rule && term.coefficient() > 0) {
        made.computeIfAbsent(
            term,
            t -> new AdaptiveCoefficient(rule, t.coefficient(), config.capacity(), store, layer));
      }
    }
    return made;
  }

  private static ExpertBank feedForward(MoeConfig config, ParameterStore store, int layer) {
    return new FeedForwardExperts(
        config.form(),
        config.experts(),
        config.width(),
        config.expertWidth(),
        config.expertDropout(),
        config.init(),
        store.under("experts"),
        layer);
  }

  private MoeLayer(MoeLayer other, Router router) {
    this.config = other.config;
    this.layer = other.layer;
    this.causality = other.causality;
    this.router = router;
    this.experts = other.experts;
    this.surround = other.surround;
    this.shared = other.shared;
    this.outputBias = other.outputBias;
    this.dispatcher = other.dispatcher;
    this.adaptive = other.adaptive;
  }

  /** The same layer and parameters with its router wrapped: recorded, replayed, balanced. */
  public MoeLayer withRouter(UnaryOperator<Router> wrapper) {
    return new MoeLayer(this, wrapper.apply(router));
  }

  /** The configuration. */
  public MoeConfig config() {
    return config;
  }

  /** The layer's index in its model. */
  public int layer() {
    return layer;
  }

  /** The router. */
  public Router router() {
    return router;
  }

  /** The routed experts. */
  public ExpertBank experts() {
    return experts;
  }

  /** The controllers of this layer's state, to be told of every optimiser step. */
  public List<Controller> controllers() {
    return Stream.concat(router.controllers().stream(), adaptive.values().stream()).toList();
  }

  /** The shared expert, if there is one. */
  public Optional<SharedExpert> shared() {
    return Optional.ofNullable(shared);
  }

  /** The bias [d] on the routed experts' sum, if there is one. */
  public Optional<Parameter> outputBias() {
    return Optional.ofNullable(outputBias);
  }

  /**
   * Computes the layer.
   *
   * @param x [..., d] with T = B * S tokens in the context's order
   * @param context of the same T tokens
   * @throws MoeException if shapes disagree, the input is not finite, or the router cannot serve
   *     the phase
   */
  public MoeOutput forward(Tensor x, TokenContext context) {
    TokenContext here = context.atLayer(layer);
    if (here.phase() == Phase.DECODE && !causality.decodes()) {
      throw new MoeException(
          "layer "
              + layer
              + ": router \""
              + config.router()
              + "\" looks at other tokens and cannot"
              + " decode; use a per-token router or score whole sequences");
    }
    Tensor tokens = flat(x, here);
    Tensor rows = surround == null ? tokens : surround.before(tokens, here);
    TokenContext inside = surround == null ? here : surround.inside(here);
    Routing routing = router.route(rows, inside);
    if (routing instanceof TokenChoice choice) {
      routing = config.capacity().apply(choice, inside);
    }
    Tensor y = mixed(rows, routing, inside);
    if (surround != null) {
      y = surround.after(y, rows, here);
    }
    if (outputBias != null) {
      y = y.add(outputBias.tensor().to(y.dtype()));
    }
    if (shared != null) {
      y = y.add(shared.forward(tokens));
    }
    Map<String, Tensor> losses = losses(routing, inside);
    Tensor balance =
        losses.values().stream()
            .reduce(Tensor::add)
            .orElseGet(() -> Tensor.zeros(DType.F32, x.device()));
    return new MoeOutput(y.view(x.shape()), routing, balance, losses, inside);
  }

  private Tensor mixed(Tensor rows, Routing routing, TokenContext context) {
    return switch (experts) {
      case RetrievalExperts bank when routing instanceof Retrieval retrieval ->
          bank.forward(rows, retrieval, context);
      case RetrievalExperts bank ->
          throw new IllegalStateException("these experts are gathered by a retrieval alone");
      case Experts bank -> {
        // Dense mixes have nothing to save: the reference serves them whatever is configured.
        Dispatcher<?> how = routing instanceof Blend ? new OneHotDispatcher() : dispatcher;
        yield how.apply(rows, routing, bank, context);
      }
    };
  }

  private Tensor flat(Tensor x, TokenContext context) {
    if (x.dim() < 1 || x.size(-1) != config.width()) {
      throw new MoeException(
          "layer "
              + layer
              + ": the input is "
              + Arrays.toString(x.shape())
              + ", the layer's width is "
              + config.width());
    }
    long tokens = x.numel() / config.width();
    if (tokens != context.tokens()) {
      throw new MoeException(
          "layer "
              + layer
              + ": the input has "
              + tokens
              + " tokens, its context "
              + context.sequences()
              + " x "
              + context.length());
    }
    return x.reshape(tokens, config.width());
  }

  private Map<String, Tensor> losses(Routing routing, TokenContext context) {
    Map<String, Tensor> losses = new LinkedHashMap<>();
    if (!context.training()) {
      return losses;
    }
    for (BalanceTerm term : config.balance()) {
      if (term.coefficient() > 0) {
        AdaptiveCoefficient own = adaptive.get(term);
        double coefficient = own == null ? term.coefficient() : own.value();
        Tensor weighted = term.loss().loss(routing, context).mul(coefficient);
        losses.merge(term.loss().name(), weighted, Tensor::add);
      }
    }
    routing.evidence().losses().forEach((name, loss) -> losses.merge(name, loss, Tensor::add));
    return losses;
  }
}
