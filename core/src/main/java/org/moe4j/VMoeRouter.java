package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * V-MoE's router (S12, section 2): in training the logits z = x W^T get normal noise of deviation
 * sigma / E, then a softmax over all experts, then the k best. Their probabilities are the weights
 * as they are, so that even k = 1 has a gradient. Who finds room is the {@link Capacity}'s matter:
 * {@link DropOrder#PRIORITY} is the paper's batch prioritised routing.
 *
 * <p>The plan's logits are the clean ones, its scores and probabilities those with noise, its
 * membership the chance of a pair to reach the token's k-th best noisy logit if its own noise were
 * drawn again (appendix A): what {@link VMoeBalance} reads.
 */
public final class VMoeRouter implements Router {
  private final int k;
  private final double deviation;
  private final Parameter weight;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "v-moe", "S12", "noisy logits, softmax, then the k best as they are; drops by priority")
        .losses("vmoe")
        .evidence(Evidence.Kind.LOGITS, Evidence.Kind.PROBABILITIES, Evidence.Kind.MEMBERSHIP)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("unit", "patch")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "importance and load")
                .with("overflow", "drop by position + drop by priority")
                .with("placement", "feed-forward + every other + last n")
                .with("experts", "few large")
                .with("systems", "capacity buffers"))
        .options(
            OptionKey.number(
                "noise", 1, "sigma: in training logits get noise of deviation sigma / E"))
        .build(
            s ->
                new VMoeRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number("noise"),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param noise sigma, of which the noise has the E-th part; 0 for none
   */
  public VMoeRouter(
      int width, int experts, int k, double noise, Init init, ParameterStore store, int layer) {
    if (!(noise >= 0)) {
      throw new MoeException("router noise " + noise + "; give at least 0");
    }
    this.k = k;
    this.deviation = noise / experts;
    this.weight = store.create("gate.weight", new Role.Gate(layer), init, experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor clean = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    boolean noisy = context.training() && deviation > 0;
    Tensor logits = noisy ? clean.add(noise(clean, context)) : clean;
    // By logits, not probabilities: a saturated softmax leaves ties at 0.
    Tensor choices = Selection.top(logits, k);
    Tensor probabilities = logits.softmax(-1);
    Evidence evidence = Evidence.of(clean, probabilities, probabilities, logits.detach());
    if (noisy) {
      evidence = evidence.withMembership(membership(clean, logits, choices));
    }
    Gating gating = Gating.SOFTMAX_TOP_K;
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            gating.selected(probabilities, choices),
            gating,
            evidence)
        .onlyReal(context);
  }

  private Tensor noise(Tensor clean, TokenContext context) {
    Tensor draw = context.random().normal(0, 1, DType.F32, clean.shape());
    return draw.to(clean.device()).to(clean.dtype()).mul(deviation);
  }

  /** 1 - Phi((threshold - z) / deviation), with gradient through z and the threshold. */
  private Tensor membership(Tensor clean, Tensor noisy, Tensor choices) {
    Tensor threshold = noisy.gather(1, choices.narrow(1, k - 1, 1));
    return clean.sub(threshold).div(deviation * Math.sqrt(2)).erf().add(1).mul(0.5);
  }
}
