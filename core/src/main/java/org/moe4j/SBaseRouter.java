package org.moe4j;

import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * S-BASE (S17): in training tokens choose the k largest entries of their row in {@link Sinkhorn
 * Sinkhorn's} balanced plan of the batch, in evaluation and decoding the k largest logits. Gates
 * come from the logits themselves, by softmax over all experts, or by sigmoid as Megatron-LM has it
 * for k = 1; neither plan nor choice has a gradient. There is no balance loss. Balance is not
 * exact, so that the paper limits experts to twice their share: capacity factor 2.
 */
public final class SBaseRouter implements Router {
  private final int k;
  private final Gating gating;
  private final Sinkhorn sinkhorn;
  private final Parameter weight;

  /** The registry's entry. */
  static RouterEntry entry() {
    Sinkhorn standard = Sinkhorn.DEFAULT;
    return RouterEntry.of(
            "s-base", "S17", "Sinkhorn's balanced plan in training, the best logits in evaluation")
        .causality(Causality.TRAINING_ONLY)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "global assignment")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "sinkhorn"))
        .options(
            OptionKey.word(
                "gate",
                "softmax",
                List.of("softmax", "sigmoid"),
                "score of the chosen logit (Megatron-LM: sigmoid for top-1)"),
            OptionKey.whole("iterations", standard.iterations(), "of Sinkhorn, at most"),
            OptionKey.number("tolerance", standard.tolerance(), "mean change to stop at"),
            OptionKey.number("epsilon", standard.epsilon(), "added to sums that divide"))
        .build(
            s ->
                new SBaseRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().constant("gate", Gating.Score.class),
                    new Sinkhorn(
                        s.options().number("tolerance"),
                        s.options().number("epsilon"),
                        s.options().whole("iterations")),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param score of the chosen logits
   */
  public SBaseRouter(
      int width,
      int experts,
      int k,
      Gating.Score score,
      Sinkhorn sinkhorn,
      Init init,
      ParameterStore store,
      int layer) {
    this.k = k;
    this.gating = Gating.SOFTMAX_TOP_K.with(score);
    this.sinkhorn = sinkhorn;
    this.weight = store.create("gate.weight", new Role.Gate(layer), init, experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor selection = context.training() ? balanced(logits, context) : logits.detach();
    Tensor choices = Selection.top(selection, k);
    Tensor probabilities = logits.softmax(-1);
    Tensor scores =
        gating.score() == Gating.Score.SOFTMAX ? probabilities : gating.score().of(logits);
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            gating.selected(scores, choices),
            gating,
            Evidence.of(logits, probabilities, scores, selection))
        .onlyReal(context);
  }

  /** Logits [T,E] in the order of the plan; padding takes no part in it. */
  private Tensor balanced(Tensor logits, TokenContext context) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor own = logits.detach();
      Tensor real =
          context.padding().map(p -> own.indexSelect(0, p.nonzero().flatten())).orElse(own);
      return scope.pass(real.size(0) == 0 ? own.copy() : own.add(sinkhorn.columns(real)));
    }
  }
}
