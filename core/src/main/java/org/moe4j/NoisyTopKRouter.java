package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The noisy top-k gate of the sparsely-gated layer (S01): logits c = x W_g get normal noise of a
 * learned deviation s = softplus(x W_noise) + epsilon in training; the k best noisy logits are
 * chosen and their softmax is the weight. Both matrices start at zero, so noise alone breaks the
 * symmetry. The plan carries each pair's chance of being chosen for the {@link LoadBalance}.
 */
public final class NoisyTopKRouter implements Router {
  private final int k;
  private final double epsilon;
  private final Parameter weight;
  private final Parameter noise;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "noisy-top-k",
            "S01",
            "noisy top-k gate, softmax over the chosen; with importance and load losses")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "select then softmax")
                .with("balance", "importance and load"))
        .losses("importance", "load")
        .evidence(Evidence.Kind.LOGITS, Evidence.Kind.PROBABILITIES, Evidence.Kind.MEMBERSHIP)
        .options(
            OptionKey.number("noise-epsilon", 0, "added to the noise's deviation (code: 0.01)"))
        .flops(c -> 4L * c.width() * c.experts())
        .build(
            s ->
                new NoisyTopKRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number("noise-epsilon"),
                    s.store(),
                    s.layer()),
            c -> 2L * c.experts() * c.width());
  }

  /**
   * Makes {@code gate.weight} and {@code gate.noise_weight}, both [E,d] and zero.
   *
   * @param epsilon added to the noise's deviation: 0 in the paper, 0.01 in its code
   */
  public NoisyTopKRouter(
      int width, int experts, int k, double epsilon, ParameterStore store, int layer) {
    if (epsilon < 0) {
      throw new MoeException("noise epsilon " + epsilon + "; give at least 0");
    }
    this.k = k;
    this.epsilon = epsilon;
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, Init.zeros(), experts, width);
    this.noise = store.create("gate.noise_weight", role, Init.zeros(), experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    Tensor clean = Logits.finite(Ops.linear(own, weight.tensor().to(type), null), context);
    Tensor probabilities = clean.softmax(-1);
    int experts = (int) clean.size(1);
    if (!context.training()) {
      return plan(
          clean,
          Selection.top(clean, k),
          context,
          Evidence.of(clean, probabilities, clean, clean.detach()));
    }
    Tensor deviation = Ops.softplus(Ops.linear(own, noise.tensor().to(type), null)).add(epsilon);
    Tensor draw = context.random().normal(0, 1, DType.F32, clean.shape()).to(x.device());
    Tensor noisy = Logits.finite(clean.add(draw.to(type).mul(deviation)), context);
    Tensor best = Selection.top(noisy, Math.min(k + 1, experts));
    Evidence evidence = Evidence.of(clean, probabilities, noisy, noisy.detach());
    if (k < experts) {
      evidence = evidence.withMembership(membership(clean, deviation, noisy, best));
    }
    return plan(noisy, best.narrow(1, 0, k), context, evidence);
  }

  private TokenChoice plan(Tensor scores, Tensor choices, TokenContext context, Evidence evidence) {
    Gating gating = Gating.TOP_K_SOFTMAX;
    return TokenChoice.of(
            (int) scores.size(1), choices, gating.selected(scores, choices), gating, evidence)
        .onlyReal(context);
  }

  /** Phi((c - threshold) / s): the threshold is the k-th best of the others' noisy logits. */
  private Tensor membership(Tensor clean, Tensor deviation, Tensor noisy, Tensor best) {
    Tensor values = noisy.gather(1, best);
    Tensor last = values.narrow(1, k - 1, 1);
    Tensor next = values.narrow(1, k, 1);
    Tensor in = noisy.gt(next);
    Tensor threshold = Tensor.where(in, next, last);
    // The guard keeps 0/0 away if the deviation underflows.
    Tensor z = clean.sub(threshold).div(deviation.mul(Math.sqrt(2)).add(1e-20));
    return z.erf().add(1).mul(0.5);
  }
}
