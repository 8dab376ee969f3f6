package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Switch's top-1 gate (S06): the best expert by full softmax, weighted by its probability as it is,
 * with one of the paper's ways to explore in training. They disturb the router's copy of x alone:
 * experts see the tokens as they are.
 */
public final class SwitchRouter implements Router {
  /** What in training leads a token to another expert than the best one. */
  public enum Exploration {
    /** Nothing. */
    ARGMAX,
    /** The expert is drawn with its probability. */
    SAMPLE,
    /** Elements of the router's x are zeroed with a chance p, others divided by 1 - p. */
    INPUT_DROPOUT,
    /** Elements of the router's x are multiplied by numbers in [1 - e, 1 + e). */
    INPUT_JITTER,
    /** Logits get numbers in [1 - e, 1 + e) added: FastMoE's code (S08), not the paper. */
    LOGIT_NOISE
  }

  private final LinearRouter inner;
  private final Exploration exploration;
  private final double amount;

  /** The registry's entry. */
  static RouterEntry entry() {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(Gating.SWITCH));
    keys.add(OptionKey.flag("bias", false, "a trained bias on the logits"));
    keys.add(
        OptionKey.word(
            "exploration",
            "input-jitter",
            List.of("argmax", "sample", "input-dropout", "input-jitter"),
            "how training tries other experts than the best"));
    keys.add(OptionKey.number("jitter", 0.01, "of input-jitter: x is multiplied by 1 +- this"));
    keys.add(OptionKey.number("dropout", 0.1, "of input-dropout: chance of an element to be 0"));
    return taxonomy(
            RouterEntry.of("switch", "S06", "top-1 by full softmax, input jitter in training"))
        .losses("switch")
        .options(keys)
        .build(
            s -> {
              Options o = s.options();
              Exploration how = o.constant("exploration", Exploration.class);
              double amount =
                  how == Exploration.INPUT_DROPOUT ? o.number("dropout") : o.number("jitter");
              return new SwitchRouter(
                  linear(s, GatingOptions.read(o), o.flag("bias")), how, amount);
            },
            c -> {
              boolean bias = c.routerEntry().check(c).flag("bias");
              return (long) c.experts() * (c.width() + (bias ? 1 : 0));
            });
  }

  /** What this router's entries have in common. */
  static RouterEntry.Builder taxonomy(RouterEntry.Builder entry) {
    return entry
        .choices(1)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("choices", "1")
                .with("gate", "softmax then select + not renormalised")
                .with("overflow", "drop by position")
                .with("systems", "capacity buffers"));
  }

  /** The linear part, without jitter of its own. */
  static LinearRouter linear(RouterSetup s, Gating gating, boolean bias) {
    MoeConfig c = s.config();
    Init init = c.init().gate(c.width());
    return new LinearRouter(gating, c.width(), c.experts(), 1, bias, 0, init, s.store(), s.layer());
  }

  /**
   * Wraps the linear router.
   *
   * @param inner top-1, without jitter
   * @param amount e of the jitter or noise, p of the dropout; the other ways ignore it
   */
  public SwitchRouter(LinearRouter inner, Exploration exploration, double amount) {
    if (!(amount >= 0 && amount < 1)) {
      throw new MoeException("router jitter or dropout " + amount + "; give 0 <= it < 1");
    }
    boolean plain = !inner.gating().selectionBias() && inner.gating().groups().groups() == 1;
    if (exploration == Exploration.SAMPLE && !plain) {
      throw new MoeException(
          "exploration \"sample\" goes by probability alone, without selection bias or groups;"
              + " leave these out");
    }
    this.inner = inner;
    this.exploration = exploration;
    this.amount = amount;
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    if (!context.training()) {
      return inner.route(x, context);
    }
    return switch (exploration) {
      case ARGMAX -> inner.route(x, context);
      case SAMPLE -> sampled(inner.route(x, context), context);
      case INPUT_DROPOUT -> inner.route(Ops.dropout(own(x), amount, context.random()), context);
      case INPUT_JITTER -> inner.route(own(x).mul(around(own(x), context)), context);
      case LOGIT_NOISE -> noisy(inner.route(x, context), context);
    };
  }

  /** The router's copy in the type it computes in. */
  private Tensor own(Tensor x) {
    return x.to(x.dtype() == DType.F64 ? DType.F64 : inner.gating().dtype());
  }

  private Tensor around(Tensor like, TokenContext context) {
    return context
        .random()
        .uniform(1 - amount, 1 + amount, DType.F32, like.shape())
        .to(like.device())
        .to(like.dtype());
  }

  private static TokenChoice sampled(TokenChoice best, TokenContext context) {
    Tensor logs = best.evidence().probabilities().orElseThrow().log();
    Tensor choices = Selection.top(Gumbel.perturbed(logs, context), 1);
    return best.choosing(choices, choices.ge(0)).onlyReal(context);
  }

  private TokenChoice noisy(TokenChoice best, TokenContext context) {
    Tensor logits = best.evidence().logits().orElseThrow();
    Tensor p = logits.add(around(logits, context)).softmax(-1);
    Tensor choices = Selection.top(p, 1);
    Evidence evidence = Evidence.of(logits, p, p, p.detach());
    return TokenChoice.of(
            best.expertCount(), choices, p.gather(1, choices), best.gating(), evidence)
        .onlyReal(context);
  }
}
