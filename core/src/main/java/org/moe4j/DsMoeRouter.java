package org.moe4j;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * DS-MoE (S38): in training every expert computes every token, weighted by the softmax of the
 * router; {@link MutualInformation} makes the weights both even over experts and peaked for each
 * token. Evaluation computes only the best experts, with their weights as they are: k of them, or
 * those with E S above a threshold. Training costs as much as a dense layer of width E h.
 *
 * <p>The router is an MLP of width 512, which the paper's parameter counts imply; the released
 * code's is linear.
 */
public final class DsMoeRouter implements Router {
  /** Which experts evaluation computes. */
  public enum Serving {
    /** All of them, as in training. */
    ALL,
    /** The k best of each token. */
    TOP_K,
    /** Those above the threshold, for each token. */
    THRESHOLD,
    /** The K best, where K is the rounded mean number above the threshold in the batch. */
    BATCH_K
  }

  private final int experts;
  private final int k;
  private final Serving serving;
  private final double threshold;
  private final Parameter weight;
  private final @Nullable Parameter hidden;
  private final @Nullable Parameter hiddenBias;

  /** Each token decides alone. */
  static RouterEntry entry() {
    return entry(
        RouterEntry.of(
            "ds-moe", "S38", "dense in training, the k best or a threshold in evaluation"),
        OptionKey.word("serving", "top-k", List.of("top-k", "threshold", "all"), "in evaluation"));
  }

  /** The number of experts of a layer follows from the whole batch. */
  static RouterEntry batchK() {
    return entry(
        RouterEntry.of(
                "ds-moe-batch-k",
                "S38",
                "as ds-moe; k is the batch's mean number above a threshold")
            .causality(Causality.LOOKS_AROUND),
        OptionKey.word("serving", "batch-k", List.of("batch-k"), "in evaluation"));
  }

  private static RouterEntry entry(RouterEntry.Builder entry, OptionKey serving) {
    return entry
        .form(RoutingForm.DENSE)
        .losses(MutualInformation.NAME)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("signal", "multi-layer + linear")
                .with("learning", "full gradient")
                .with("choices", "all + n + variable")
                .with("gate", "dense + softmax then select + not renormalised")
                .with("balance", "mutual information")
                .with("experts", "few large")
                .with("systems", "dense"))
        .options(
            serving,
            OptionKey.number("threshold", 0.48, "an expert is computed if E S is above it"),
            OptionKey.word("gate", "mlp", List.of("mlp", "linear"), "the router (code: linear)"),
            OptionKey.whole("gate-width", 512, "width inside the mlp"))
        .valid(DsMoeRouter::valid)
        .flops(
            c ->
                isMlp(c)
                    ? 2L * gateWidth(c) * (c.width() + c.experts())
                    : 2L * c.width() * c.experts())
        .build(
            s ->
                new DsMoeRouter(
                    s.config(),
                    s.options().constant("serving", Serving.class),
                    s.options().number("threshold"),
                    isMlp(s.config()) ? gateWidth(s.config()) : 0,
                    s.store(),
                    s.layer()),
            c ->
                isMlp(c)
                    ? gateWidth(c) * (c.width() + 1L + c.experts())
                    : (long) c.width() * c.experts());
  }

  private static boolean isMlp(MoeConfig config) {
    return config.routerEntry().check(config).word("gate").equals("mlp");
  }

  private static int gateWidth(MoeConfig config) {
    return config.routerEntry().check(config).whole("gate-width");
  }

  private static void valid(MoeConfig config) {
    Options options = config.routerEntry().check(config);
    if (isMlp(config) && gateWidth(config) < 1) {
      throw new MoeException(
          "router \""
              + config.router()
              + "\": gate-width "
              + gateWidth(config)
              + "; give at least 1, or set gate to \"linear\"");
    }
    boolean byK = options.word("serving").equals("top-k") || options.word("serving").equals("all");
    if (byK && config.routerOptions().containsKey("threshold")) {
      throw new MoeException(
          "router \"ds-moe\": a threshold does not go with serving \""
              + options.word("serving")
              + "\"; leave it out or set serving to \"threshold\"");
    }
  }

  /**
   * Makes {@code gate.weight} [E,d], or of an MLP {@code gate.hidden} [g,d], {@code
   * gate.hidden_bias} [g] and {@code gate.weight} [E,g].
   *
   * @param config d, E, k and how the gate starts
   * @param gateWidth g; 0 for a linear router
   */
  public DsMoeRouter(
      MoeConfig config,
      Serving serving,
      double threshold,
      int gateWidth,
      ParameterStore store,
      int layer) {
    if (!(threshold > 0)) {
      throw new MoeException("ds-moe: threshold " + threshold + "; give a number above 0");
    }
    this.experts = config.experts();
    this.k = config.topK();
    this.serving = serving;
    this.threshold = threshold;
    Role role = new Role.Gate(layer);
    int width = config.width();
    if (gateWidth == 0) {
      this.hidden = null;
      this.hiddenBias = null;
    } else {
      Init in = config.init().gate(width);
      this.hidden = store.create("gate.hidden", role, in, gateWidth, width);
      this.hiddenBias = store.create("gate.hidden_bias", role, Init.zeros(), gateWidth);
      width = gateWidth;
    }
    this.weight = store.create("gate.weight", role, config.init().gate(width), experts, width);
  }

  @Override
  public Routing route(Tensor x, TokenContext context) {
    Tensor logits = Logits.finite(logits(x), context);
    Tensor s = logits.softmax(-1);
    Evidence evidence = Evidence.of(logits, s, s, s.detach());
    if (context.training() || serving == Serving.ALL || x.size(0) == 0) {
      return new Blend.Dense(TokenChoices.onlyReal(s, context), evidence);
    }
    Tensor best = Selection.top(s, serving == Serving.TOP_K ? k : experts);
    Tensor scores = s.gather(1, best);
    Tensor above = scores.mul(experts).gt(threshold);
    if (context.padding().isPresent()) {
      above = above.and(context.padding().orElseThrow().unsqueeze(1));
    }
    Tensor choices =
        switch (serving) {
          case THRESHOLD -> best.maskedFill(above.not(), -1);
          case BATCH_K -> best.narrow(1, 0, mean(above, context));
          default -> best;
        };
    int most = Math.max(1, widest(choices));
    return TokenChoice.of(
            experts,
            choices.narrow(1, 0, most).contiguous(),
            scores.narrow(1, 0, most),
            Gating.SOFTMAX_TOP_K,
            evidence)
        .onlyReal(context);
  }

  /** The largest number of experts that a token has. */
  private static int widest(Tensor choices) {
    return (int) choices.ge(0).to(DType.I64).sum(1, false).max().item();
  }

  private int mean(Tensor above, TokenContext context) {
    double tokens = TokenChoices.realTokens(context, 1, weight.tensor()).sum().item();
    long mean = Math.round(above.to(DType.I64).sum().item() / Math.max(1, tokens));
    return Math.clamp(mean, 1, experts);
  }

  private Tensor logits(Tensor x) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    if (hidden != null && hiddenBias != null) {
      Tensor bias = hiddenBias.tensor().to(type);
      own = Ops.gelu(Ops.linear(own, hidden.tensor().to(type), bias));
    }
    return Ops.linear(own, weight.tensor().to(type), null);
  }
}
