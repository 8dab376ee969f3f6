package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Token choice by a linear map: logits z = x W^T (+ b), then whatever the {@link Gating} says. With
 * its presets this is the router of Mixtral, Qwen, OLMoE, DeepSeek, ERNIE and gpt-oss.
 */
public final class LinearRouter implements Router {
  private final Gating gating;
  private final int k;
  private final double jitter;
  private final Parameter weight;
  private final @Nullable Parameter bias;
  private final @Nullable Parameter selectionBias;

  /**
   * Makes the router's parameters in {@code store}: {@code gate.weight} [E,d], and where asked for
   * {@code gate.bias} [E] and the state {@code gate.e_score_correction_bias} [E], which a
   * controller moves, not the gradient.
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
    gating.groups().check(experts, k);
    if (!(jitter >= 0 && jitter < 1)) {
      throw new MoeException("router jitter " + jitter + "; give 0 <= jitter < 1");
    }
    this.gating = gating;
    this.k = k;
    this.jitter = jitter;
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, init, experts, width);
    this.bias = bias ? store.create("gate.bias", role, Init.zeros(), experts) : null;
    if (gating.selectionBias()) {
      this.selectionBias =
          store.state(
              "gate.e_score_correction_bias",
              layer,
              Tensor.zeros(DType.F32, store.device(), experts));
    } else {
      this.selectionBias = null;
    }
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
    return entry(
        RouterEntry.of(
                "sigmoid-top-k",
                "S56",
                "linear router, sigmoid scores, a bias for the selection (DeepSeek-V3)")
            .losses("mixtral")
            .taxonomy(
                Taxonomy.TOKEN_TOP_K
                    .with("gate", "sigmoid + renormalised")
                    .with("balance", "bias controller")),
        Gating.DEEPSEEK_V3,
        0);
  }

  /** An entry of this router whose options default to {@code standard} and {@code jitter}. */
  static RouterEntry entry(RouterEntry.Builder entry, Gating standard, double jitter) {
    return entry(entry, standard, jitter, false);
  }

  /** The same, where the logits' bias may be on unless it is turned off. */
  static RouterEntry entry(
      RouterEntry.Builder entry, Gating standard, double jitter, boolean bias) {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(standard));
    keys.add(OptionKey.flag("bias", bias, "a trained bias on the logits"));
    keys.add(OptionKey.number("jitter", jitter, "in training x is multiplied by 1 +- this"));
    return entry
        .options(keys)
        .build(
            s ->
                new LinearRouter(
                    GatingOptions.read(s.options()),
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().flag("bias"),
                    s.options().number("jitter"),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * (c.width() + (options(c).flag("bias") ? 1 : 0)));
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  /** The gating. */
  public Gating gating() {
    return gating;
  }

  /** The bias [E] that only the selection sees, if the gating has one. */
  public Optional<Parameter> selectionBias() {
    return Optional.ofNullable(selectionBias);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    Tensor logits = logits(x, context);
    Tensor prepared = gating.prepared(logits);
    boolean all = gating.order() == Gating.Order.SCORE_THEN_SELECT;
    Tensor scores = all ? gating.score().of(prepared) : prepared;
    Tensor selection = scores.detach();
    if (selectionBias != null) {
      selection = selection.add(selectionBias.tensor().to(scores.dtype()));
    }
    selection = gating.groups().apply(selection);
    Tensor choices = Selection.top(selection, k);
    Tensor selected = gating.selected(scores, choices);
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
    DType type = x.dtype() == DType.F64 ? DType.F64 : gating.dtype();
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
