package org.moe4j;

import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Soft MoE (S28): every expert has p slots, a slot is a mixture of all tokens of its sequence, and
 * a token is a mixture of all slots' outputs. With logits L = x Phi, the dispatch weights are the
 * softmax of L over tokens, the combine weights its softmax over slots. Nothing is chosen, dropped
 * or balanced, and all tokens of a sequence mix: it is for encoders.
 *
 * <p>Tokens and the columns of Phi are normalised for the logits alone, by sqrt(sum of squares +
 * 1e-6), and a learned number scales the result (section 2.3); without that the softmax over wide
 * tokens becomes one-hot. Padding tokens enter no slot and receive nothing.
 */
public final class SoftMoeRouter implements Router {
  private static final double EPSILON = 1e-6;
  // Its exponential is exactly 0 beside any real token's; infinity would make an empty row NaN.
  private static final double ABSENT = -1e30;

  private final int experts;
  private final int slots;
  private final int tokens;
  private final double noise;
  private final Parameter phi;
  private final @Nullable Parameter scale;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "soft-moe", "S28", "slots mix all tokens of a sequence, tokens mix all slots")
        .causality(Causality.LOOKS_AROUND)
        .form(RoutingForm.SLOTS)
        .evidence(Evidence.Kind.PROBABILITIES)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "none")
                .with("signal", "attention slots")
                .with("unit", "slot")
                .with("learning", "full gradient")
                .with("choices", "all")
                .with("gate", "dense")
                .with("balance", "by construction")
                .with("overflow", "none")
                .with("placement", "feed-forward + last n")
                .with("systems", "dense"))
        .options(
            OptionKey.whole("slots", 1, "slots of an expert; 0 for round(tokens k / E)"),
            OptionKey.whole("tokens", 0, "tokens of every sequence; 0 for any number"),
            OptionKey.flag("normalise", true, "normalise tokens and slots, learn the scale"),
            OptionKey.number("noise", 0, "deviation of noise on the logits in training"))
        .flops(c -> 6L * c.width() * c.experts() * slots(c))
        .expertsPerToken(SoftMoeRouter::expertsPerToken)
        .build(
            s ->
                new SoftMoeRouter(
                    s.config().width(),
                    s.config().experts(),
                    slots(s.config()),
                    s.options().whole("tokens"),
                    s.options().flag("normalise"),
                    s.options().number("noise"),
                    s.store(),
                    s.layer()),
            c ->
                (long) c.width() * c.experts() * slots(c) + (options(c).flag("normalise") ? 1 : 0));
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  private static int slots(MoeConfig config) {
    int slots = options(config).whole("slots");
    int tokens = options(config).whole("tokens");
    return slots == 0 ? slots(tokens, config.topK(), config.experts()) : slots;
  }

  /** Rows of experts per token, where the length of sequences is known. */
  private static long expertsPerToken(MoeConfig config) {
    int tokens = options(config).whole("tokens");
    return tokens == 0
        ? config.topK()
        : Math.max(1, Math.round((double) slots(config) * config.experts() / tokens));
  }

  /**
   * The slots of an expert where {@code k} experts compute a token on average: {@code tokens k / E}
   * rounded half to even.
   *
   * @throws MoeException if that is none
   */
  public static int slots(int tokens, int k, int experts) {
    int slots = (int) Math.rint((double) tokens * k / experts);
    if (slots < 1) {
      throw new MoeException(
          "soft-moe: "
              + tokens
              + " tokens, top-k "
              + k
              + " and "
              + experts
              + " experts leave no slot for an expert; set option slots, or tokens higher");
    }
    return slots;
  }

  /**
   * Makes {@code gate.phi} [d,E,p] and, if normalised, {@code gate.scale} [1], which starts at 1.
   *
   * @param slots p, of each expert
   * @param tokens of every sequence, or 0 if their number may differ
   * @param normalise for the logits
   * @param noise deviation of normal noise on the logits in training
   */
  public SoftMoeRouter(
      int width,
      int experts,
      int slots,
      int tokens,
      boolean normalise,
      double noise,
      ParameterStore store,
      int layer) {
    if (slots < 1 || tokens < 0 || !(noise >= 0)) {
      throw new MoeException(
          "soft-moe: slots "
              + slots
              + ", tokens "
              + tokens
              + ", noise "
              + noise
              + "; give at least 1 slot, and no negative number");
    }
    this.experts = experts;
    this.slots = slots;
    this.tokens = tokens;
    this.noise = noise;
    Role role = new Role.Gate(layer);
    this.phi = store.create("gate.phi", role, Init.fanIn(1, width), width, experts, slots);
    this.scale = normalise ? store.create("gate.scale", role, Init.constant(1), 1) : null;
  }

  @Override
  public Blend.Slots route(Tensor x, TokenContext context) {
    long size = context.length();
    if (tokens > 0 && size != tokens) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": soft-moe was made for sequences of "
              + tokens
              + " tokens, these have "
              + size
              + "; pad them or set option tokens");
    }
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    long groups = context.sequences();
    long all = (long) experts * slots;
    Tensor logits = Logits.finite(logits(x.to(type)), context).view(groups, size, all);
    if (noise > 0 && context.training()) {
      Tensor draw = context.random().normal(0, noise, DType.F32, logits.shape());
      logits = logits.add(draw.to(x.device()).to(type));
    }
    Tensor combine = logits.softmax(2);
    Tensor dispatch;
    if (context.padding().isPresent()) {
      Tensor real = context.padding().orElseThrow().view(groups, size, 1);
      Tensor mask = real.to(type);
      dispatch = logits.maskedFill(real.not(), ABSENT).softmax(1).mul(mask);
      combine = combine.mul(mask);
    } else {
      dispatch = logits.softmax(1);
    }
    Tensor shares = combine.reshape(groups * size, experts, slots).sum(2, false);
    return new Blend.Slots(experts, dispatch, combine, Evidence.ofProbabilities(shares));
  }

  /** L [T, E p], slots ordered by expert. */
  private Tensor logits(Tensor x) {
    Tensor columns = phi.tensor().to(x.dtype());
    columns = columns.reshape(columns.size(0), (long) experts * slots);
    if (scale == null) {
      return x.mm(columns);
    }
    Tensor rows = x.mul(x.square().sum(1, true).add(EPSILON).rsqrt());
    Tensor unit = columns.mul(columns.square().sum(0, true).add(EPSILON).rsqrt());
    return rows.mm(unit.mul(scale.tensor().to(x.dtype())));
  }
}
