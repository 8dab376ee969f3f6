package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Expert choice (S19): every expert takes the k = n c / E tokens of a group of n with the highest
 * softmax (over experts) score, c being the mean number of experts per token. Weights are the
 * scores as they are; a token that nobody takes gets 0, and loads are equal by construction. With a
 * cap, tokens have at most so many experts (section 3.2, see {@link CappedChoice}).
 *
 * <p>The paper's rounding of k is not given; here it is to the nearest whole number, at least 1.
 * Padding is never chosen and does not count in n, so that it changes nothing.
 *
 * <p>A token's experts depend on all tokens of its group, later ones and other sequences included:
 * for encoders and images, not for causal models.
 */
public final class ExpertChoiceRouter implements Router {
  /**
   * A limit of experts per token.
   *
   * @param experts b, the most experts of a token
   * @param solver how the programme is solved
   * @param entropy lambda, the weight of its entropy
   * @param iterations of the solver
   */
  public record Cap(int experts, CappedChoice.Solver solver, double entropy, int iterations) {}

  private final CapacityRule share;
  private final Grouping group;
  private final double jitter;
  private final double deviation;
  private final @Nullable Cap cap;
  private final Parameter weight;
  private final @Nullable Parameter bias;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "expert-choice", "S19", "every expert takes its best tokens; not for causal models")
        .causality(Causality.LOOKS_AROUND)
        .form(RoutingForm.EXPERT_CHOICE)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "expert")
                .with("choices", "variable")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "by construction")
                .with("overflow", "unchosen skip")
                .with("placement", "feed-forward + every other")
                .with("systems", "capacity buffers"))
        .options(
            OptionKey.number("factor", 1, "times top-k is c, the mean number of experts per token"),
            OptionKey.word(
                "group", "batch", List.of("batch", "sequence", "tokens"), "who competes"),
            OptionKey.whole("group-tokens", 4096, "tokens of a group where group is tokens"),
            OptionKey.word(
                "rounding",
                "half-even",
                List.of("half-even", "ceil", "floor"),
                "of an expert's share n c / E (Flaxformer: half-even; V-MoE's code: ceil)"),
            OptionKey.whole("multiple", 1, "shares are rounded up to it (V-MoE's code: 4)"),
            OptionKey.whole("minimum", 1, "least share, if there are tokens (Flaxformer: 4)"),
            OptionKey.flag("bias", false, "a trained bias on the logits (Flaxformer: true)"),
            OptionKey.number("jitter", 0, "in training x is multiplied by 1 +- this (Flaxformer)"),
            OptionKey.number(
                "noise", 0, "in training logits get noise of this deviation over E (V-MoE's code)"),
            OptionKey.whole("cap", 0, "most experts of a token; 0 for no limit (paper: 2 and 3)"),
            OptionKey.word(
                "cap-solver",
                "annealed",
                List.of("annealed", "dykstra"),
                "dykstra is the paper's, which does not converge with its settings"),
            OptionKey.number("cap-entropy", 0.001, "weight lambda of the capped programme"),
            OptionKey.whole("cap-iterations", 0, "of the solver; 0 for 15 (annealed) or 100"))
        .valid(ExpertChoiceRouter::check)
        .expertsPerToken(c -> Math.max(1, Math.round(mean(c, c.routerEntry().check(c)))))
        .build(
            ExpertChoiceRouter::of,
            c ->
                (long) c.experts() * (c.width() + (c.routerEntry().check(c).flag("bias") ? 1 : 0)));
  }

  private static double mean(MoeConfig config, Options options) {
    return config.topK() * options.number("factor");
  }

  private static void check(MoeConfig config) {
    Options o = config.routerEntry().check(config);
    double mean = mean(config, o);
    if (!(mean > 0) || mean > config.experts()) {
      throw new MoeException(
          "router \"expert-choice\": top-k times factor is "
              + mean
              + " experts per token of "
              + config.experts()
              + "; give a factor above 0 and at most experts / top-k");
    }
    if (o.whole("cap") < 0 || (o.whole("cap") > 0 && mean > o.whole("cap"))) {
      throw new MoeException(
          "router \"expert-choice\": a cap of "
              + o.whole("cap")
              + " experts per token and "
              + mean
              + " of them on average exclude each other; raise the cap or lower top-k");
    }
  }

  private static ExpertChoiceRouter of(RouterSetup s) {
    Options o = s.options();
    MoeConfig config = s.config();
    Grouping group =
        switch (o.word("group")) {
          case "sequence" -> Grouping.SEQUENCE;
          case "tokens" -> Grouping.tokens(o.whole("group-tokens"));
          default -> Grouping.BATCH;
        };
    CapacityRule share =
        new CapacityRule.Factor(
            mean(config, o),
            false,
            false,
            o.constant("rounding", CapacityRule.Rounding.class),
            false,
            o.whole("multiple"),
            o.whole("minimum"));
    CappedChoice.Solver solver = o.constant("cap-solver", CappedChoice.Solver.class);
    int usual = solver == CappedChoice.Solver.ANNEALED ? 15 : 100;
    int iterations = o.whole("cap-iterations") == 0 ? usual : o.whole("cap-iterations");
    Cap cap =
        o.whole("cap") == 0
            ? null
            : new Cap(o.whole("cap"), solver, o.number("cap-entropy"), iterations);
    return new ExpertChoiceRouter(
        share,
        group,
        config,
        o.flag("bias"),
        o.number("jitter"),
        o.number("noise"),
        cap,
        s.store(),
        s.layer());
  }

  private ExpertChoiceRouter(
      CapacityRule share,
      Grouping group,
      MoeConfig config,
      boolean bias,
      double jitter,
      double noise,
      @Nullable Cap cap,
      ParameterStore store,
      int layer) {
    if (!(jitter >= 0 && jitter < 1) || !(noise >= 0)) {
      throw new MoeException(
          "router jitter " + jitter + " and noise " + noise + "; give 0 <= jitter < 1, noise >= 0");
    }
    this.share = share;
    this.group = group;
    this.jitter = jitter;
    this.deviation = noise / config.experts();
    this.cap = cap;
    Role role = new Role.Gate(layer);
    Init init = config.init().gate(config.width());
    this.weight = store.create("gate.weight", role, init, config.experts(), config.width());
    this.bias = bias ? store.create("gate.bias", role, Init.zeros(), config.experts()) : null;
  }

  @Override
  public ExpertChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    if (jitter > 0 && context.training()) {
      Tensor factor = context.random().uniform(1 - jitter, 1 + jitter, DType.F32, x.shape());
      own = own.mul(factor.to(x.device()).to(type));
    }
    Tensor b = bias == null ? null : bias.tensor().to(type);
    Tensor logits = Logits.finite(Ops.linear(own, weight.tensor().to(type), b), context);
    Tensor noisy = logits;
    if (deviation > 0 && context.training()) {
      Tensor draw = context.random().normal(0, 1, DType.F32, logits.shape());
      noisy = logits.add(draw.to(x.device()).to(type).mul(deviation));
    }
    Tensor scores = noisy.softmax(-1);
    boolean[] real = real(context);
    int experts = (int) scores.size(1);
    int[][] counts = counts(real, experts, context);
    Tensor ranking =
        cap == null ? masked(scores.detach(), context) : capped(scores, cap, real, counts);
    return TopTokens.choose(
        ranking,
        scores,
        counts,
        Gating.SOFTMAX_TOP_K,
        Evidence.of(logits, scores, scores, ranking));
  }

  private static boolean[] real(TokenContext context) {
    boolean[] real = new boolean[Math.toIntExact(context.tokens())];
    Arrays.fill(real, true);
    context
        .padding()
        .ifPresent(
            mask -> {
              byte[] bytes = mask.toBytes();
              for (int t = 0; t < bytes.length; t++) {
                real[t] = bytes[t] != 0;
              }
            });
    return real;
  }

  private static Tensor masked(Tensor scores, TokenContext context) {
    return context
        .padding()
        .map(real -> scores.maskedFill(real.not().unsqueeze(1), Double.NEGATIVE_INFINITY))
        .orElse(scores);
  }

  /** An expert's share of every group's real tokens. */
  private int[][] counts(boolean[] real, int experts, TokenContext context) {
    int groups = Math.toIntExact(group.groups(context));
    int size = Math.toIntExact(group.groupSize(context));
    int[][] counts = new int[groups][experts];
    for (int g = 0; g < groups; g++) {
      int n = 0;
      for (int t = g * size; t < (g + 1) * size; t++) {
        n += real[t] ? 1 : 0;
      }
      if (n > 0) {
        Arrays.fill(counts[g], (int) Math.min(share(n, experts), n));
      }
    }
    return counts;
  }

  /** Rounding up must not ask for more than the caps of all tokens allow. */
  private long share(int n, int experts) {
    long share = this.share.slots(n, experts, 1);
    return cap == null ? share : Math.min(share, (long) cap.experts() * n / experts);
  }

  /** [T,E] in F64: what the capped programme of each group ranks by. */
  private static Tensor capped(Tensor scores, Cap cap, boolean[] real, int[][] counts) {
    int experts = (int) scores.size(1);
    double[] values = scores.toDoubles();
    double[] ranking = new double[values.length];
    Arrays.fill(ranking, Double.NEGATIVE_INFINITY);
    int size = counts.length == 0 ? 0 : real.length / counts.length;
    for (int g = 0; g < counts.length; g++) {
      int[] tokens = members(real, g * size, size);
      if (tokens.length == 0) {
        continue;
      }
      double[][] problem = new double[experts][tokens.length];
      for (int e = 0; e < experts; e++) {
        for (int i = 0; i < tokens.length; i++) {
          problem[e][i] = values[tokens[i] * experts + e];
        }
      }
      double[][] solved =
          CappedChoice.solve(
                  cap.solver(),
                  problem,
                  counts[g][0],
                  cap.experts(),
                  cap.entropy(),
                  cap.iterations())
              .ranking();
      for (int e = 0; e < experts; e++) {
        for (int i = 0; i < tokens.length; i++) {
          ranking[tokens[i] * experts + e] = solved[e][i];
        }
      }
    }
    return Tensor.of(ranking, real.length, experts).to(scores.device());
  }

  private static int[] members(boolean[] real, int start, int size) {
    int[] found = new int[size];
    int n = 0;
    for (int t = start; t < start + size; t++) {
      if (real[t]) {
        found[n++] = t;
      }
    }
    return Arrays.copyOf(found, n);
  }
}
