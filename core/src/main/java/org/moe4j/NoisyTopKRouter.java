package org.moe4j;

import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/**
 * The noisy top-k gate of the sparsely-gated layer (S01): logits c = x W_g get normal noise of a
 * learned deviation s = softplus(x W_noise) + epsilon in training; the k best noisy logits are
 * chosen and their softmax is the weight. In the paper both matrices start at zero, so noise alone
 * breaks the symmetry. The plan carries each pair's chance of being chosen for the {@link
 * LoadBalance}.
 */
public final class NoisyTopKRouter implements Router {
  private final NoisyGate gate;
  private final int experts;

  /** The registry's entry. */
  static RouterEntry entry() {
    return entry(
        RouterEntry.of(
                "noisy-top-k",
                "S01",
                "noisy top-k gate, softmax over the chosen; with importance and load losses")
            .losses("importance", "load"),
        0,
        "zeros");
  }

  /** An entry of this router with other defaults. */
  static RouterEntry entry(RouterEntry.Builder entry, double epsilon, String init) {
    return entry
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "select then softmax")
                .with("balance", "importance and load"))
        .evidence(Evidence.Kind.LOGITS, Evidence.Kind.PROBABILITIES, Evidence.Kind.MEMBERSHIP)
        .options(
            epsilon(epsilon),
            OptionKey.word(
                "gate-init",
                init,
                List.of("zeros", "kaiming"),
                "how both matrices start: zero (S01) or Kaiming-uniform (FastMoE)"))
        .flops(c -> 4L * c.width() * c.experts())
        .build(
            s ->
                new NoisyTopKRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number("noise-epsilon"),
                    s.options().word("gate-init").equals("zeros")
                        ? Init.zeros()
                        : Init.kaimingUniform(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> 2L * c.experts() * c.width());
  }

  /** The option of all noisy gates. */
  static OptionKey epsilon(double standard) {
    return OptionKey.number(
        "noise-epsilon", standard, "added to the noise's deviation (S01: 0, its code: 0.01)");
  }

  /**
   * Makes {@code gate.weight} and {@code gate.noise_weight}, both [E,d].
   *
   * @param epsilon added to the noise's deviation: 0 in the paper, 0.01 in its code
   * @param init of both matrices: zeros in the paper and its code
   */
  public NoisyTopKRouter(
      int width, int experts, int k, double epsilon, Init init, ParameterStore store, int layer) {
    this.experts = experts;
    this.gate = new NoisyGate("gate", width, experts, 1, k, epsilon, init, store, layer);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    NoisyGate.Draw draw = gate.draw(x.to(x.dtype() == DType.F64 ? DType.F64 : DType.F32), context);
    Tensor noisy = draw.noisy();
    Evidence evidence = Evidence.of(draw.clean(), draw.clean().softmax(-1), noisy, noisy.detach());
    if (draw.membership().isPresent()) {
      evidence = evidence.withMembership(draw.membership().get());
    }
    Gating gating = Gating.TOP_K_SOFTMAX;
    Tensor selected = gating.selected(noisy, draw.choices());
    return TokenChoice.of(experts, draw.choices(), selected, gating, evidence).onlyReal(context);
  }
}
