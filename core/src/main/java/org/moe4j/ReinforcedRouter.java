package org.moe4j;

import java.util.List;
import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * RL-R (S17): the router is a policy {@code pi = softmax(x W)} that learns by REINFORCE. In
 * training the expert is drawn from the policy cut to its nucleus (the most probable experts that
 * together reach top-p), in evaluation it is the most probable one; its probability multiplies its
 * output as usual. The reward of a token is the log-likelihood of the next one, the baseline a
 * linear value head that reads x without passing a gradient back:
 *
 * <pre>
 *   policy * mean(-(r - V(x)) log q(e|x)) + value * mean((V(x) - r)^2) - entropy * mean H(pi)
 * </pre>
 *
 * where q is what was drawn from, so that a constant reward teaches nothing on average. The balance
 * loss of S06 comes with it. The paper does not publish its coefficients; the defaults are starting
 * points. The first two terms need a reward ({@link CarriedState#whenRewarded}); without one, as in
 * a layer alone, the policy learns by its gate.
 */
public final class ReinforcedRouter implements Router {
  /** How the expert is found in training. */
  public enum Action {
    /** Drawn. */
    SAMPLE,
    /** The most probable one. */
    GREEDY
  }

  /**
   * The weights of the losses.
   *
   * @param policy of the policy gradient
   * @param value of the value head's squared error
   * @param entropy of the bonus
   */
  public record Coefficients(double policy, double value, double entropy) {
    public Coefficients {
      if (!(policy >= 0) || !(value >= 0) || !(entropy >= 0)) {
        throw new MoeException(
            "router \"rl-r\": policy "
                + policy
                + ", value "
                + value
                + ", entropy "
                + entropy
                + "; give weights of at least 0");
      }
    }
  }

  private static final Gating GATING = Gating.SWITCH;

  private final Action action;
  private final double topP;
  private final Coefficients weigh;
  private final Parameter weight;
  private final Parameter value;
  private final Parameter valueBias;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "rl-r", "S17", "top-1 drawn from a policy that learns by the tokens' log-likelihood")
        .choices(1)
        .losses("switch")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("learning", "gate gradient + reinforcement")
                .with("choices", "1")
                .with("gate", "softmax then select + not renormalised"))
        .flops(c -> 2L * c.width() * (c.experts() + 1))
        .options(
            OptionKey.word(
                "action", "sample", List.of("sample", "greedy"), "the expert in training"),
            OptionKey.number("top-p", 0.9, "probability of the nucleus that is drawn from"),
            OptionKey.number("policy", 1e-2, "weight of the policy gradient"),
            OptionKey.number("value", 1e-2, "weight of the baseline's squared error"),
            OptionKey.number("entropy", 5e-4, "weight of the entropy bonus"))
        .build(
            s ->
                new ReinforcedRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.options().constant("action", Action.class),
                    s.options().number("top-p"),
                    new Coefficients(
                        s.options().number("policy"),
                        s.options().number("value"),
                        s.options().number("entropy")),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width() + c.width() + 1);
  }

  /**
   * Makes {@code gate.weight} [E,d], {@code gate.value} [1,d] and {@code gate.value_bias} [1], the
   * latter two zero.
   *
   * @param topP probability of the nucleus; 1 draws from all experts
   */
  public ReinforcedRouter(
      int width,
      int experts,
      Action action,
      double topP,
      Coefficients weigh,
      Init init,
      ParameterStore store,
      int layer) {
    if (!(topP > 0 && topP <= 1)) {
      throw new MoeException("router \"rl-r\": top-p " + topP + "; give 0 < p <= 1");
    }
    this.action = action;
    this.topP = topP;
    this.weigh = weigh;
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, init, experts, width);
    this.value = store.create("gate.value", role, Init.zeros(), 1, width);
    this.valueBias = store.create("gate.value_bias", role, Init.zeros(), 1);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    Tensor logits = Logits.finite(Ops.linear(own, weight.tensor().to(type), null), context);
    Tensor pi = logits.softmax(-1);
    boolean draws = context.training() && action == Action.SAMPLE && context.tokens() > 0;
    Tensor open = draws ? nucleus(pi) : pi.detach().ge(0);
    Tensor selection = draws ? drawn(logits, open, context) : logits.detach();
    Tensor choices = Selection.top(selection, 1);
    Evidence evidence = Evidence.of(logits, pi, pi, selection);
    if (context.training() && context.tokens() > 0) {
      Tensor q = logits.maskedFill(open.not(), Double.NEGATIVE_INFINITY).logSoftmax(-1);
      Tensor logQ = q.gather(1, choices).squeeze(1);
      context
          .carried()
          .whenRewarded(context.layer(), reward -> learned(own.detach(), logQ, reward, context));
      evidence = evidence.withLosses(Map.of("policy-entropy", bonus(logits, pi, context)));
    }
    return TokenChoice.of((int) logits.size(1), choices, pi.gather(1, choices), GATING, evidence)
        .onlyReal(context);
  }

  /** The experts [T,E] BOOL that are better than top-p together. */
  private Tensor nucleus(Tensor pi) {
    try (NoGrad off = NoGrad.open()) {
      Tensor.TopK sorted = pi.detach().sort(-1, true);
      Tensor before = sorted.values().cumsum(-1).sub(sorted.values());
      // The best one always: nothing is before it.
      Tensor in = before.lt(topP).to(pi.dtype());
      in.narrow(1, 0, 1).fillInPlace(1);
      return Tensor.zeros(pi.dtype(), pi.device(), pi.shape())
          .scatter(1, sorted.indices(), in)
          .gt(0.5);
    }
  }

  /** Scores [T,E] whose largest entry is drawn from the policy within {@code open}: Gumbel-max. */
  private static Tensor drawn(Tensor logits, Tensor open, TokenContext context) {
    Tensor u = context.random().uniform(1e-20, 1, DType.F64, logits.shape()).to(logits.device());
    return logits
        .detach()
        .add(u.log().neg().log().neg().to(logits.dtype()))
        .maskedFill(open.not(), Double.NEGATIVE_INFINITY);
  }

  private Tensor learned(Tensor x, Tensor logQ, Reward pass, TokenContext context) {
    DType type = x.dtype();
    Reward reward = pass.ofParts(x.size(0) / pass.counted().size(0));
    Tensor baseline =
        Ops.linear(x, value.tensor().to(type), valueBias.tensor().to(type)).squeeze(1);
    Tensor real = context.padding().map(reward.counted()::and).orElse(reward.counted());
    Tensor counts = real.to(type);
    Tensor r = Tensor.where(real, reward.logLikelihood().to(type), baseline.detach());
    Tensor advantage = r.sub(baseline);
    Tensor policy = advantage.detach().mul(logQ).neg().mul(weigh.policy());
    Tensor error = advantage.square().mul(weigh.value());
    return policy.add(error).mul(counts).sum().div(counts.sum().clampMin(1));
  }

  private Tensor bonus(Tensor logits, Tensor pi, TokenContext context) {
    Tensor negative = TokenChoices.onlyReal(pi.mul(logits.logSoftmax(-1)), context).sum();
    Tensor tokens = TokenChoices.realTokens(context, 1, logits).reshape(1).sum();
    return negative.div(tokens).mul(weigh.entropy());
  }
}
