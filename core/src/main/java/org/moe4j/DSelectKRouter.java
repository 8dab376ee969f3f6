package org.moe4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * DSelect-k (S11): k selectors, each a product of smooth steps over the digits of the experts'
 * binary codes, mixed by a softmax. Everything has a gradient, and when all steps are saturated at
 * most k weights are not zero. Until then every expert computes every token. Evaluation has the
 * same formula and computes only experts whose weight is above zero.
 *
 * <p>The gate reads each token, or it is static: one per task, where a token's domain is its task.
 *
 * <p>Two losses of its own, in training alone: the selectors' entropy, weighted, and where E is no
 * power of two the sum over selectors of 1 / (probability of the codes that experts have). The
 * paper's task loss is a mean; so are these by default, while the released code sums both over the
 * batch.
 */
public final class DSelectKRouter implements Router {
  private static final double LOG_EPSILON = 1e-6;

  private final int experts;
  private final int k;
  private final int digits;
  private final int tasks;
  private final SmoothStep step;
  private final Regularisers regularisers;
  private final boolean perExample;
  private final @Nullable Parameter code;
  private final @Nullable Parameter codeBias;
  private final Parameter mix;
  private final @Nullable Parameter mixBias;
  private final @Nullable Parameter steps;

  /**
   * The two losses.
   *
   * @param entropy weight of the selectors' entropy
   * @param rampSteps optimiser steps over which that weight rises from 0; 0 for at once
   * @param summed over tokens, as in the released code, or their mean
   * @param guard added to the divisor of the loss on codes that no expert has
   */
  public record Regularisers(double entropy, int rampSteps, boolean summed, double guard) {
    public Regularisers {
      if (!(entropy >= 0 && guard >= 0) || rampSteps < 0) {
        throw new MoeException(
            "dselect-k: entropy "
                + entropy
                + ", entropy-steps "
                + rampSteps
                + ", guard "
                + guard
                + "; none may be negative");
      }
    }
  }

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "dselect-k",
            "S11",
            "k products of smooth steps over binary codes; dense until converged")
        .form(RoutingForm.DENSE)
        .evidence(Evidence.Kind.PROBABILITIES)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("unit", "task + token")
                .with("learning", "full gradient")
                .with("gate", "dense")
                .with("balance", "entropy")
                .with("overflow", "none")
                .with("experts", "few large")
                .with("systems", "dense"))
        .options(
            OptionKey.word("gate", "example", List.of("example", "static"), "reads each token?"),
            OptionKey.whole("tasks", 1, "static gates; above 1 a token's domain picks its own"),
            OptionKey.number("gamma", 1, "width of the smooth step"),
            OptionKey.number("entropy", 1e-6, "weight of the selectors' entropy"),
            OptionKey.whole("entropy-steps", 0, "steps over which that weight rises from 0"),
            OptionKey.word(
                "reduce", "mean", List.of("mean", "sum"), "losses over tokens (code: sum)"),
            OptionKey.number("guard", 0, "added to the divisor of the loss on unused codes"))
        .flops(
            c ->
                perExample(c)
                    ? 2L * c.width() * c.topK() * (BinaryCodes.digits(c.experts()) + 1)
                    : 0)
        .build(
            s ->
                new DSelectKRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    perExample(s.config()),
                    s.options().whole("tasks"),
                    new SmoothStep(s.options().number("gamma")),
                    new Regularisers(
                        s.options().number("entropy"),
                        s.options().whole("entropy-steps"),
                        s.options().word("reduce").equals("sum"),
                        s.options().number("guard")),
                    s.store(),
                    s.layer()),
            DSelectKRouter::parameters);
  }

  private static boolean perExample(MoeConfig config) {
    return config.routerEntry().check(config).word("gate").equals("example");
  }

  private static long parameters(MoeConfig c) {
    long each = (long) c.topK() * (BinaryCodes.digits(c.experts()) + 1);
    return perExample(c)
        ? each * (c.width() + 1)
        : each * gates(c.routerEntry().check(c).whole("tasks"));
  }

  /** Tokens without a task share one gate more. */
  private static int gates(int tasks) {
    return tasks == 1 ? 1 : tasks + 1;
  }

  /**
   * Makes {@code gate.code} and {@code gate.mix}: of a gate per example weights [k m, d] and [k, d]
   * with biases {@code gate.code_bias} and {@code gate.mix_bias}, of static gates the numbers
   * themselves, [G, k m] and [G, k]. With a ramp also the state {@code gate.steps}.
   *
   * @param tasks static gates; 1 for all tokens
   */
  public DSelectKRouter(
      int width,
      int experts,
      int k,
      boolean perExample,
      int tasks,
      SmoothStep step,
      Regularisers regularisers,
      ParameterStore store,
      int layer) {
    if (tasks < 1 || (tasks > 1 && perExample)) {
      throw new MoeException(
          "dselect-k: tasks "
              + tasks
              + (tasks < 1 ? "; give at least 1" : " need gate \"static\"; set it or leave tasks"));
    }
    this.experts = experts;
    this.k = k;
    this.digits = BinaryCodes.digits(experts);
    this.tasks = tasks;
    this.step = step;
    this.regularisers = regularisers;
    this.perExample = perExample;
    Role role = new Role.Gate(layer);
    Init codes = Init.uniform(step.gamma() / 100);
    Init mixes = Init.uniform(0.05);
    int in = perExample ? width : 1;
    long wide = (long) k * digits;
    if (perExample) {
      this.code = digits == 0 ? null : store.create("gate.code", role, codes, wide, in);
      this.codeBias = digits == 0 ? null : store.create("gate.code_bias", role, codes, wide);
      this.mix = store.create("gate.mix", role, mixes, k, in);
      this.mixBias = store.create("gate.mix_bias", role, mixes, k);
    } else {
      int gates = gates(tasks);
      this.code = digits == 0 ? null : store.create("gate.code", role, codes, gates, wide);
      this.codeBias = null;
      this.mix = store.create("gate.mix", role, mixes, gates, k);
      this.mixBias = null;
    }
    this.steps =
        regularisers.rampSteps() == 0
            ? null
            : store.state("gate.steps", layer, Tensor.of(new long[] {0}, 1));
  }

  @Override
  public List<Controller> controllers() {
    Parameter count = steps;
    return count == null ? List.of() : List.of(step -> countOn(count.tensor().detach()));
  }

  private static void countOn(Tensor count) {
    try (Scope scope = Scope.open()) {
      count.addInPlace(Tensor.of(new long[] {1}, 1).to(count.device()));
    }
  }

  @Override
  public Routing route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor mixed = numbers(x.to(type), mix, mixBias, context);
    long rows = mixed.size(0);
    Tensor z =
        code == null
            ? Tensor.zeros(type, x.device(), rows, k, 0)
            : numbers(x.to(type), code, codeBias, context).view(rows, k, digits);
    Tensor selectors = BinaryCodes.products(step.of(z)).narrow(2, 0, experts);
    Tensor q = mixed.softmax(-1).unsqueeze(-1).mul(selectors).sum(1, false);
    Tensor weights =
        TokenChoices.onlyReal(perExample ? q : q.indexSelect(0, task(context, x)), context);
    Tensor mass = weights.sum(1, true);
    Tensor shares = weights.div(mass.add(mass.gt(0).not().to(type)));
    Evidence evidence = Evidence.ofProbabilities(shares);
    if (context.training()) {
      return new Blend.Dense(weights, evidence.withLosses(losses(selectors, context)));
    }
    return sparse(weights, evidence);
  }

  /** A gate's numbers: of each token [T,n], or of each static gate [G,n]. */
  private Tensor numbers(Tensor x, Parameter w, @Nullable Parameter bias, TokenContext context) {
    Tensor own = w.tensor().to(x.dtype());
    if (bias == null) {
      return own;
    }
    return Logits.finite(Ops.linear(x, own, bias.tensor().to(x.dtype())), context);
  }

  /** The number of each token's static gate [T]. */
  private Tensor task(TokenContext context, Tensor like) {
    if (tasks == 1) {
      return Tensor.of(new long[Math.toIntExact(context.tokens())]).to(like.device());
    }
    Tensor domains =
        context
            .domains()
            .orElseThrow(
                () ->
                    new MoeException(
                        "layer "
                            + context.layer()
                            + ": dselect-k has a gate for each of "
                            + tasks
                            + " tasks, but the tokens come without domains; give them or set"
                            + " tasks to 1"));
    if (domains.numel() > 0 && domains.max().item() >= tasks) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": a token has domain "
              + (long) domains.max().item()
              + ", but dselect-k has gates for "
              + tasks
              + " tasks; set tasks higher");
    }
    return domains.maskedFill(domains.lt(0), tasks);
  }

  /** As few choices per token as hold all weights above zero, the largest first. */
  private Routing sparse(Tensor weights, Evidence evidence) {
    Tensor positive = weights.detach().gt(0);
    int most = weights.size(0) == 0 ? 0 : (int) positive.to(DType.I64).sum(1, false).max().item();
    if (most == 0 || most == experts) {
      return new Blend.Dense(weights, evidence);
    }
    Tensor best = Selection.top(weights, most);
    Tensor choices = best.maskedFill(positive.to(DType.I64).gather(1, best).eq(0), -1);
    return TokenChoice.of(experts, choices, weights.gather(1, best), Gating.FIXED, evidence);
  }

  private Map<String, Tensor> losses(Tensor selectors, TokenContext context) {
    Map<String, Tensor> losses = new LinkedHashMap<>();
    double weight = regularisers.entropy() * ramp();
    if (weight > 0) {
      Tensor h = selectors.mul(selectors.add(LOG_EPSILON).log()).neg().sum(2, false);
      losses.put("dselect-entropy", reduced(h, context).mul(weight));
    }
    if (experts != 1 << digits) {
      Tensor known = real(selectors.sum(2, false), context).add(regularisers.guard());
      if (known.numel() > 0 && !(known.detach().neg().max().item() < 0)) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": a selector of dselect-k is stuck on a code that none of the "
                + experts
                + " experts has; lower the learning rate, widen gamma or set option guard");
      }
      losses.put("dselect-codes", reduced(known.pow(-1), context));
    }
    return losses;
  }

  /** A padding token's mass set to 1, so that its inverse is finite before it is left out. */
  private Tensor real(Tensor mass, TokenContext context) {
    return context
        .padding()
        .filter(mask -> perExample)
        .map(mask -> mass.maskedFill(mask.not().unsqueeze(1), 1))
        .orElse(mass);
  }

  /** The share of the entropy's weight that is on in this step, the one after those counted. */
  private double ramp() {
    return steps == null ? 1 : Math.min(1, (steps.tensor().item() + 1) / regularisers.rampSteps());
  }

  /** Values per row and selector [R,k]: summed over selectors, then over rows as configured. */
  private Tensor reduced(Tensor values, TokenContext context) {
    if (!perExample) {
      return values.sum();
    }
    Tensor sum = TokenChoices.onlyReal(values, context).sum();
    return regularisers.summed()
        ? sum
        : sum.div(TokenChoices.realTokens(context, 1, values).sum().clampMin(1));
  }
}
