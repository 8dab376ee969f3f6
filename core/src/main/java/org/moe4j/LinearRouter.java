package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Token choice by a linear map: logits z = x W^T (+ b), then whatever the {@link Gating} says. With
 * its presets this is the router of Mixtral, Qwen, OLMoE, DeepSeek, ERNIE, gpt-oss and Skywork.
 */
public final class LinearRouter implements Router {
  private final Gating gating;
  private final int k;
  private final double jitter;
  private final Parameter weight;
  private final @Nullable Parameter bias;
  private final @Nullable SelectionBias selectionBias;
  private final List<Controller> controllers;

  /**
   * Makes the router's parameters in {@code store}: {@code gate.weight} [E,d], and where asked for
   * {@code gate.bias} [E] and the state {@code gate.e_score_correction_bias} [E], which a {@link
   * BiasController} may move, not the gradient.
   *
   * @param jitter in training the router's copy of x is multiplied by numbers in [1-jitter,
   *     1+jitter); 0 for none (S06)
   */
  public LinearRouter(
      Gating gating,
      int width,
      int experts,
      int k,
      boolean bias,
      double jitter,
      Init init,
      ParameterStore store,
      int layer) {
    this(gating, width, experts, k, bias, jitter, init, SelectionBias.Form.ADDITIVE, store, layer);
  }

  /** As above, with a selection bias that meets the scores as {@code form} says. */
  public LinearRouter(
      Gating gating,
      int width,
      int experts,
      int k,
      boolean bias,
      double jitter,
      Init init,
      SelectionBias.Form form,
      ParameterStore store,
      int layer) {
    gating.groups().check(experts, k);
    if (!(jitter >= 0 && jitter < 1)) {
      throw new MoeException("router jitter " + jitter + "; give 0 <= jitter < 1");
    }
    this.gating = gating;
    this.k = k;
    this.jitter = jitter;
    Role role = new Role.Gate(layer);
    // What multiplies in F32 is not rounded first: ERNIE and HunYuan release gates in F32.
    ParameterStore gates = gating.rounding().ofLogits() ? store : store.wide();
    this.weight = gates.create("gate.weight", role, init, experts, width);
    this.bias = bias ? gates.create("gate.bias", role, Init.zeros(), experts) : null;
    this.selectionBias =
        gating.selectionBias() ? SelectionBias.in(store, form, experts, layer) : null;
    this.controllers = List.of();
  }

  private LinearRouter(LinearRouter other, List<Controller> controllers) {
    this.gating = other.gating;
    this.k = other.k;
    this.jitter = other.jitter;
    this.weight = other.weight;
    this.bias = other.bias;
    this.selectionBias = other.selectionBias;
    this.controllers = controllers;
  }

  /** The same router whose selection bias, if it has one, moves as {@code options} say. */
  private LinearRouter controlled(Options options) {
    return selectionBias == null
        ? this
        : new LinearRouter(this, List.of(BiasController.of(selectionBias, options)));
  }

  /** Mixtral, OLMoE, Qwen, DeepSeekMoE, gpt-oss: the form is the gating's. */
  static RouterEntry softmaxTopK() {
    return entry(
        RouterEntry.of(
                "softmax-top-k",
                "S34",
                "linear router, softmax, k best (Mixtral, OLMoE, Qwen, DeepSeekMoE, gpt-oss)")
            .losses("mixtral"),
        Gating.SOFTMAX_TOP_K,
        0);
  }

  /** DeepSeek-V3's form. */
  static RouterEntry sigmoidTopK() {
    return controlled(
        RouterEntry.of(
                "sigmoid-top-k",
                "S56",
                "linear router, renormalised sigmoid scores, a controlled selection bias"
                    + " (DeepSeek-V3)")
            .losses("deepseek-expert")
            .taxonomy(
                Taxonomy.TOKEN_TOP_K
                    .with("gate", "sigmoid + renormalised")
                    .with("balance", "bias controller + fraction times probability")),
        Gating.DEEPSEEK_V3);
  }

  /** Loss-free balancing as its paper has it (S56): plain sigmoid scores, no loss. */
  static RouterEntry lossFree() {
    return controlled(
        RouterEntry.of(
                "loss-free",
                "S56",
                "linear router, sigmoid scores as they are, balanced by a selection bias alone")
            .taxonomy(
                Taxonomy.TOKEN_TOP_K
                    .with("gate", "sigmoid + not renormalised")
                    .with("balance", "bias controller")),
        Gating.DEEPSEEK_V3.with(Renormalise.NO));
  }

  /** Fine-grained experts beside shared ones (S36); see {@link FineGrained}. */
  static RouterEntry deepSeekMoe() {
    return entry(
        RouterEntry.of(
                "deepseek-moe",
                "S36",
                "linear router, softmax, k best of many fine experts beside shared ones")
            .losses("deepseek-expert")
            .taxonomy(
                Taxonomy.TOKEN_TOP_K
                    .with("gate", "softmax then select + not renormalised")
                    .with("placement", "feed-forward + shared expert beside")),
        Gating.SOFTMAX_TOP_K,
        0);
  }

  /** Skywork (S44): logits of deviation {@code logit-scale}, whatever the gate's size. */
  static RouterEntry skywork() {
    return entry(
        RouterEntry.of(
                "skywork",
                "S44",
                "linear router over logits of fixed deviation; balance coefficients that adapt")
            .losses("adaptive-mean-gate-square")
            .valid(LinearRouter::atLeastTwo)
            .taxonomy(
                Taxonomy.TOKEN_TOP_K
                    .with("choices", "2")
                    .with("gate", "softmax then select + renormalised")
                    .with("balance", "mean importance + adaptive coefficient")
                    .with("overflow", "drop by position")
                    .with("use", "pre-train + upcycle")),
        Gating.MIXTRAL.with(Gating.Score.Z_SCORED),
        0);
  }

  private static void atLeastTwo(MoeConfig config) {
    if (config.experts() < 2 && options(config).word("score").equals("z-scored")) {
      throw new MoeException(
          "router \""
              + config.router()
              + "\" normalises logits by their deviation, which 1 expert does not have; give at"
              + " least 2 experts or score \"softmax\"");
    }
  }

  /** An entry of this router whose options default to {@code standard} and {@code jitter}. */
  static RouterEntry entry(RouterEntry.Builder entry, Gating standard, double jitter) {
    return entry(entry, standard, jitter, false);
  }

  /** The same, where the logits' bias may be on unless it is turned off. */
  static RouterEntry entry(
      RouterEntry.Builder entry, Gating standard, double jitter, boolean bias) {
    return build(entry, keys(standard, jitter, bias), s -> of(s, SelectionBias.Form.ADDITIVE));
  }

  /** An entry of this router with a controller of its selection bias. */
  private static RouterEntry controlled(RouterEntry.Builder entry, Gating standard) {
    List<OptionKey> keys = keys(standard, 0, false);
    keys.addAll(BiasController.keys());
    return build(
        entry,
        keys,
        s ->
            of(s, s.options().constant("bias-form", SelectionBias.Form.class))
                .controlled(s.options()));
  }

  private static RouterEntry build(
      RouterEntry.Builder entry, List<OptionKey> keys, Function<RouterSetup, Router> maker) {
    return entry
        .options(keys)
        .build(maker, c -> (long) c.experts() * (c.width() + (options(c).flag("bias") ? 1 : 0)));
  }

  private static List<OptionKey> keys(Gating standard, double jitter, boolean bias) {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(standard));
    keys.add(OptionKey.flag("bias", bias, "a trained bias on the logits"));
    keys.add(OptionKey.number("jitter", jitter, "in training x is multiplied by 1 +- this"));
    return keys;
  }

  private static LinearRouter of(RouterSetup s, SelectionBias.Form form) {
    return new LinearRouter(
        GatingOptions.read(s.options()),
        s.config().width(),
        s.config().experts(),
        s.config().topK(),
        s.options().flag("bias"),
        s.options().number("jitter"),
        s.config().init().gate(s.config().width()),
        form,
        s.store(),
        s.layer());
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  /** The gating. */
  public Gating gating() {
    return gating;
  }

  /** The weight [E,d]. */
  public Parameter weight() {
    return weight;
  }

  /** The trained bias [E] of the logits, if there is one. */
  public Optional<Parameter> bias() {
    return Optional.ofNullable(bias);
  }

  /** The bias [E] that only the selection sees, if the gating has one. */
  public Optional<Parameter> selectionBias() {
    return Optional.ofNullable(selectionBias).map(SelectionBias::values);
  }

  @Override
  public List<Controller> controllers() {
    return controllers;
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    Tensor logits = logits(x, context);
    Tensor prepared = gating.prepared(logits);
    boolean all = gating.order() == Gating.Order.SCORE_THEN_SELECT;
    Tensor scores = all ? gating.rounded(gating.score().of(prepared), x) : prepared;
    Tensor selection = scores.detach();
    if (selectionBias != null) {
      selection = selectionBias.applied(selection);
    }
    selection = gating.groups().apply(selection);
    Tensor choices = Selection.top(selection, k);
    Tensor selected = gating.rounded(gating.selected(scores, choices), x);
    Evidence evidence =
        Evidence.of(logits, probabilities(prepared, scores, all), scores, selection);
    return TokenChoice.of((int) logits.size(1), choices, selected, gating, evidence)
        .onlyReal(context);
  }

  private Tensor probabilities(Tensor prepared, Tensor scores, boolean scoredAll) {
    return switch (gating.score()) {
      case SOFTMAX, Z_SCORED -> scoredAll ? scores : prepared.softmax(-1);
      case SIGMOID -> {
        Tensor s = scoredAll ? scores : prepared.sigmoid();
        yield s.div(s.sum(-1, true).add(1e-20));
      }
      case RAW -> prepared.softmax(-1);
    };
  }

  private Tensor logits(Tensor x, TokenContext context) {
    DType type = gating.productType(x);
    Tensor own = x.to(type);
    if (jitter > 0 && context.training()) {
      Tensor noise = context.random().uniform(1 - jitter, 1 + jitter, DType.F32, x.shape());
      own = own.mul(noise.to(x.device()).to(type));
    }
    Tensor w = weight.tensor().to(type);
    Tensor z = Ops.linear(own, w, bias == null ? null : bias.tensor().to(type));
    return Logits.finite(z, context);
  }
}
