package org.moe4j;

import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The strictly balanced gate of the sparsely-gated layer (S01, appendix F): in training every
 * expert takes the m = k T / E tokens of the batch with the largest gate g = softmax(x W_g), so all
 * experts get equally many and a token anything from 0 to E of them. Weights are g divided by its
 * sum over the experts that took the token, 0 if none did. Where E does not divide k T, m is
 * rounded down, but is at least 1; padding counts nowhere.
 *
 * <p>Evaluation cannot look at a batch: there a token goes to the experts whose learned threshold
 * its gate exceeds. The thresholds follow the training masks M by the loss sum over experts of (1[g
 * > theta] - M) (g - theta), here a mean over tokens, masks being constants; its gradient reaches
 * theta and g. The paper gives it no coefficient.
 */
public final class BatchwiseRouter implements Router {
  private static final Gating GATING = Gating.MIXTRAL.with(Renormalise.afterDrop(1e-30));

  private final int k;
  private final double coefficient;
  private final Parameter weight;
  private final Parameter thresholds;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "batchwise",
            "S01",
            "strictly balanced: each expert takes its kT/E best tokens; thresholds in evaluation")
        .causality(Causality.TRAINING_ONLY)
        .form(RoutingForm.EXPERT_CHOICE)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "expert")
                .with("choices", "variable")
                .with("gate", "softmax then select + renormalised")
                .with("balance", "by construction"))
        .options(
            OptionKey.number("threshold-loss", 0.01, "weight of the loss that trains thresholds"))
        .build(
            s ->
                new BatchwiseRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number("threshold-loss"),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * (c.width() + 1));
  }

  /**
   * Makes {@code gate.weight} [E,d] and {@code gate.thresholds} [E], which start at 1/E.
   *
   * @param k experts per token on average, in training
   * @param coefficient of the loss that trains the thresholds
   */
  public BatchwiseRouter(
      int width,
      int experts,
      int k,
      double coefficient,
      Init init,
      ParameterStore store,
      int layer) {
    if (!(coefficient >= 0)) {
      throw new MoeException("threshold loss " + coefficient + "; give a weight of at least 0");
    }
    this.k = k;
    this.coefficient = coefficient;
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, init, experts, width);
    this.thresholds = store.create("gate.thresholds", role, Init.constant(1.0 / experts), experts);
  }

  @Override
  public Routing route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor gates = logits.softmax(-1);
    Evidence evidence = Evidence.of(logits, gates, gates, gates.detach());
    return context.training()
        ? balanced(gates, evidence, context)
        : aboveThreshold(gates, evidence, context);
  }

  private ExpertChoice balanced(Tensor gates, Evidence evidence, TokenContext context) {
    long real = real(context);
    int experts = (int) gates.size(1);
    int each = (int) Math.min(real, Math.max(1, k * real / experts));
    Tensor tokens;
    Tensor mask;
    try (NoGrad off = NoGrad.open()) {
      Tensor columns = closed(gates.detach(), context).t().contiguous();
      tokens = Selection.sorted(columns, each);
      Tensor ones = Tensor.full(1.0, gates.dtype(), gates.device(), experts, each);
      Tensor none = Tensor.zeros(gates.dtype(), gates.device(), experts, gates.size(0));
      mask = none.scatter(1, tokens, ones).t().contiguous();
    }
    Tensor weights = GATING.renormalise().divide(gates.mul(mask)).t().gather(1, tokens);
    Tensor loss = thresholdLoss(gates, mask, context).mul(coefficient);
    Evidence all = coefficient > 0 ? evidence.withLosses(Map.of("thresholds", loss)) : evidence;
    return new ExpertChoice(tokens, weights, GATING, all);
  }

  /** The mean over real tokens of the sum over experts of (1[g > theta] - M) (g - theta). */
  private Tensor thresholdLoss(Tensor gates, Tensor mask, TokenContext context) {
    Tensor over = gates.sub(thresholds.tensor().to(gates.dtype()));
    Tensor wrong = over.detach().gt(0).to(gates.dtype()).sub(mask);
    return TokenChoices.onlyReal(wrong.mul(over), context)
        .sum()
        .div((double) Math.max(1, real(context)));
  }

  private TokenChoice aboveThreshold(Tensor gates, Evidence evidence, TokenContext context) {
    Tensor fixed = gates.detach();
    Tensor above = fixed.gt(thresholds.tensor().detach().to(gates.dtype()));
    Tensor open = closed(fixed.maskedFill(above.not(), -1), context);
    double most = open.size(0) == 0 ? 0 : open.ge(0).to(DType.I64).sum(1, false).max().item();
    Tensor choices = Selection.top(open, Math.max(1, (int) most));
    Tensor wanted = open.gather(1, choices).ge(0);
    Tensor selected = GATING.selected(gates, choices);
    return TokenChoice.of((int) gates.size(1), choices, wanted, selected, GATING, evidence)
        .onlyReal(context);
  }

  /** {@code gates} with -1 in the rows of padding tokens. */
  private static Tensor closed(Tensor gates, TokenContext context) {
    return context
        .padding()
        .map(real -> gates.maskedFill(real.not().unsqueeze(1), -1))
        .orElse(gates);
  }

  private static long real(TokenContext context) {
    return context
        .padding()
        .map(mask -> (long) mask.to(DType.I64).sum().item())
        .orElse(context.tokens());
  }
}
