package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The layerwise recurrent router (S55): each token carries a state s over the sparse layers of a
 * pass, {@code s_i = GRU(P_i x_i, s_{i-1})} with s_0 = 0, and layer i routes by the softmax of
 * {@code G_i s_i}. The cell is shared by all layers, P and G are each layer's own. The recurrence
 * is over depth: tokens stay apart, and nothing is cached between decoding steps. The state is F32
 * also in a BF16 model.
 *
 * <p>The weights are those of the softmax (the paper); the released code divides the k of them by
 * their sum: {@code renormalise} "before-drop".
 */
public final class RecurrentRouter implements Router {
  /** How a layer sees the state of the layer below. */
  public enum Passing {
    /** With its gradient: the method. */
    RECURRENT,
    /** As a constant: an ablation. */
    DETACHED,
    /** Not at all, every layer starts from zero: an ablation. */
    NONE
  }

  private static final String STATE = "rmoe.state";

  private final int k;
  private final int width;
  private final int layer;
  private final Passing passing;
  private final Gating gating;
  private final Parameter projection;
  private final RecurrentCell cell;
  private final Parameter gate;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "rmoe", "S55", "softmax top-k from a recurrent state that tokens carry over layers")
        .losses("mixtral")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("signal", "recurrent")
                .with("gate", "softmax then select + not renormalised")
                .with("placement", "feed-forward + every layer"))
        .options(
            OptionKey.whole("state-width", 128, "p, width of the recurrent state (code: 256)"),
            OptionKey.word("cell", "gru", List.of("gru", "rnn"), "the recurrent cell"),
            OptionKey.word(
                "passing",
                "recurrent",
                List.of("recurrent", "detached", "none"),
                "how a layer sees the state of the layer below"),
            OptionKey.flag("shared-projection", false, "all layers share P, not the cell alone"),
            OptionKey.word(
                "renormalise",
                "no",
                List.of("no", "before-drop", "after-drop"),
                "divide weights by their sum (code: before-drop)"))
        .valid(c -> width(options(c)))
        .flops(
            c -> {
              long p = width(options(c));
              return 2 * p * (c.width() + c.experts()) + kind(options(c)).flops(p);
            })
        .commonParameters(
            c -> {
              long p = width(options(c));
              boolean projection = options(c).flag("shared-projection");
              return kind(options(c)).parameters(p) + (projection ? p * c.width() : 0);
            })
        .build(
            RecurrentRouter::new,
            c -> {
              long p = width(options(c));
              return p * (c.width() + c.experts()) + kind(options(c)).parameters(p);
            });
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  private static RecurrentCell.Kind kind(Options options) {
    return options.constant("cell", RecurrentCell.Kind.class);
  }

  private static int width(Options options) {
    int width = options.whole("state-width");
    if (width < 1) {
      throw new MoeException("router \"rmoe\": state-width " + width + "; give at least 1");
    }
    return width;
  }

  private RecurrentRouter(RouterSetup s) {
    MoeConfig c = s.config();
    this.k = c.topK();
    this.width = width(s.options());
    this.layer = s.layer();
    this.passing = s.options().constant("passing", Passing.class);
    this.gating = Gating.SOFTMAX_TOP_K.with(renormalise(s.options()));
    Role role = new Role.Gate(layer);
    Init in = c.init().gate(c.width());
    Init inside = c.init().gate(width);
    this.projection =
        s.options().flag("shared-projection")
            ? s.store().shared("router_rnn.projection", role, in, width, c.width())
            : s.store().create("gate.projection", role, in, width, c.width());
    this.cell = new RecurrentCell(kind(s.options()), width, inside, s.store(), layer);
    this.gate = s.store().create("gate.weight", role, inside, c.experts(), width);
  }

  private static Renormalise renormalise(Options options) {
    return switch (options.constant("renormalise", Renormalise.When.class)) {
      case NO -> Renormalise.NO;
      case BEFORE_DROP -> Renormalise.beforeDrop(0);
      case AFTER_DROP -> Renormalise.afterDrop(Math.ulp(1.0f));
    };
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor in = Ops.linear(x.to(type), projection.tensor().to(type), null);
    // The cell saturates: from an infinite input it would make finite logits.
    Logits.finite(in, "router projection", "state", context);
    Tensor state = cell.next(in, before(in, context));
    context.carried().write(layer, STATE, state);
    Tensor logits = Logits.finite(Ops.linear(state, gate.tensor().to(type), null), context);
    Tensor probabilities = logits.softmax(-1);
    Tensor choices = Selection.top(probabilities, k);
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            gating.selected(probabilities, choices),
            gating,
            Evidence.of(logits, probabilities, probabilities, probabilities.detach()))
        .onlyReal(context);
  }

  /** The state that the layer below left, or zeros in the first sparse layer. */
  private Tensor before(Tensor in, TokenContext context) {
    Tensor zero = Tensor.zeros(in.dtype(), in.device(), in.size(0), width);
    if (passing == Passing.NONE) {
      return zero;
    }
    Tensor left = context.carried().below(layer, STATE).orElse(zero);
    if (!Arrays.equals(left.shape(), zero.shape())) {
      throw new MoeException(
          "layer "
              + layer
              + ": router \"rmoe\" needs a state "
              + Arrays.toString(zero.shape())
              + ", the layer below left "
              + Arrays.toString(left.shape())
              + "; give all layers the same tokens and state-width");
    }
    return passing == Passing.DETACHED ? left.detach() : left;
  }
}
