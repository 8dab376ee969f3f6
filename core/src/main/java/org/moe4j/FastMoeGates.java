package org.moe4j;

/**
 * FastMoE's gates (S08) as its code has them, for comparison; all are other routers with other
 * numbers. Where its code differs from its sources on purpose or not, the faithful gates are {@code
 * noisy-top-k} (S01), {@code gshard-top-2} (S05) and {@code switch} (S06).
 */
final class FastMoeGates {
  private FastMoeGates() {}

  /** Logits with a bias, the k best, softmax over these; no loss. */
  static RouterEntry naive() {
    return LinearRouter.entry(
        RouterEntry.of("fastmoe-naive", "S08", "k best of biased logits, softmax over these")
            .taxonomy(
                Taxonomy.TOKEN_TOP_K.with("gate", "select then softmax").with("balance", "none")),
        Gating.TOP_K_SOFTMAX,
        0,
        true);
  }

  /** S01's gate with 0.01 on the noise, Kaiming start and unbiased variance in its loss. */
  static RouterEntry noisy() {
    return NoisyTopKRouter.entry(
        RouterEntry.of("fastmoe-noisy", "S08", "noisy top-k with another start and variance")
            .losses("fastmoe-noisy"),
        0.01,
        "kaiming");
  }

  /**
   * Top-2 of biased logits; the second dropped with chance 1 - 2 g2, in training alone (the code
   * also draws in evaluation). {@link Capacity#fastMoeGshard} is its capacity.
   */
  static RouterEntry gshard() {
    return GShardRouter.entry(
        RouterEntry.of("fastmoe-gshard", "S08", "top-2 of biased logits, the second at random")
            .choices(2)
            .losses("gshard"),
        "2",
        0.5,
        true);
  }

  /**
   * Top-1 of biased logits with noise around 1 added to them in training. {@link
   * Capacity#fastMoeSwitch} is its capacity.
   */
  static RouterEntry switchGate() {
    return SwitchRouter.taxonomy(
            RouterEntry.of("fastmoe-switch", "S08", "top-1 of biased logits with added noise"))
        .losses("fastmoe-switch")
        .options(
            OptionKey.number("jitter", 0.1, "logits get numbers in 1 +- this added in training"))
        .build(
            s ->
                new SwitchRouter(
                    SwitchRouter.linear(s, Gating.SWITCH, true),
                    SwitchRouter.Exploration.LOGIT_NOISE,
                    s.options().number("jitter")),
            c -> (long) c.experts() * (c.width() + 1));
  }
}
