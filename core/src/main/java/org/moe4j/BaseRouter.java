package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The router of BASE layers (S09): in training tokens go where the {@link BalancedAssignment
 * balanced assignment} of all T tokens of the pass puts them, T / E to every expert, so that there
 * is neither a balance loss nor a capacity; in evaluation and decoding every token goes to its best
 * expert. A token h at expert e gets {@code alpha = sigmoid(h w_e)} of the expert's residual
 * network X_e and 1 - alpha of itself, {@code alpha X_e(h) + (1 - alpha) h = h + alpha f_e(h)} with
 * X_e(h) = h + f_e(h); the h in front is the block's residual connection, the layer gives {@code
 * alpha f_e(h)}. The assignment has no gradient: alpha alone trains the expert embeddings w_e.
 *
 * <p>T must be a multiple of E in training, padding included: padding scores 0 everywhere and so
 * fills the places that the real tokens leave.
 */
public final class BaseRouter implements Router {
  private static final Gating GATING = Gating.SOFTMAX_TOP_K.with(Gating.Score.SIGMOID);

  private final Parameter weight;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "base",
            "S09",
            "balanced assignment in training, the best expert in evaluation; sigmoid mixing")
        .causality(Causality.TRAINING_ONLY)
        .choices(1)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "global assignment")
                .with("choices", "1")
                .with("gate", "sigmoid + not renormalised")
                .with("balance", "assignment")
                .with("experts", "few large"))
        .options(BaseExperts.SUBLAYERS)
        .bank(BaseExperts.bank())
        .build(
            s -> new BaseRouter(s.config().width(), s.config().experts(), s.store(), s.layer()),
            c -> (long) c.experts() * c.width());
  }

  /** Makes the expert embeddings {@code gate.weight} [E,d]: orthogonal rows of length 0.1. */
  public BaseRouter(int width, int experts, ParameterStore store, int layer) {
    this.weight =
        store.create("gate.weight", new Role.Gate(layer), new Orthogonal(0.1), experts, width);
  }

  /**
   * {@inheritDoc}
   *
   * @throws MoeException if in training T is not a multiple of E
   */
  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor alpha = logits.sigmoid();
    Tensor choices =
        context.training() ? assigned(logits.detach(), context) : Selection.top(logits, 1);
    Tensor probabilities = alpha.div(alpha.sum(-1, true).add(1e-20));
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            alpha.gather(1, choices),
            GATING,
            Evidence.of(logits, probabilities, alpha, logits.detach()))
        .onlyReal(context);
  }

  private static Tensor assigned(Tensor scores, TokenContext context) {
    int tokens = Math.toIntExact(scores.size(0));
    int experts = Math.toIntExact(scores.size(1));
    if (tokens % experts != 0) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": router \"base\" gives every expert the same number of tokens in training, and "
              + tokens
              + " tokens are no multiple of "
              + experts
              + " experts; change the batch size or the sequence length");
    }
    double[] real = TokenChoices.onlyReal(scores, context).toDoubles();
    int[] chosen = BalancedAssignment.solve(real, tokens, experts).experts();
    return Tensor.of(Arrays.stream(chosen).asLongStream().toArray(), tokens, 1).to(scores.device());
  }
}
