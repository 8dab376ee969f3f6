package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * GShard's top-2 gate (S05; also S16 and FastMoE's S08) and ST-MoE's top-n gate (S18): softmax over
 * all experts, the best one always wanted, each further one by a policy. Weights are divided by the
 * sum over all n, before drops (the default) or after; a single choice keeps its probability.
 * Capacity, group-wise, comes afterwards.
 */
public final class GShardRouter implements Router {
  /** When an expert after the first is wanted. */
  public enum Policy {
    /** Always. */
    ALL,
    /** With probability g / threshold; a threshold of 0.5 is GShard's 2 g2. */
    RANDOM,
    /** Always, but drawn in proportion to the other experts' probabilities. */
    SAMPLING,
    /** If g is above the threshold. */
    THRESHOLD,
    /** Never. */
    NONE
  }

  /**
   * What becomes of the choices after the first.
   *
   * @param policy of all of them
   * @param thresholds of the second, third, ... choice, or one for all
   */
  public record Further(Policy policy, List<Double> thresholds) {
    /** Refuses thresholds below 0. */
    public Further {
      thresholds = List.copyOf(thresholds);
      for (double threshold : thresholds) {
        if (!(threshold >= 0)) {
          throw new MoeException("second-expert threshold " + threshold + "; give at least 0");
        }
      }
    }

    /** One threshold for all choices after the first. */
    public static Further of(Policy policy, double threshold) {
      return new Further(policy, List.of(threshold));
    }

    /** [1,k-1], or a refusal if their number is wrong. */
    private Tensor row(int k, Tensor like) {
      double[] row = new double[k - 1];
      for (int j = 0; j < k - 1; j++) {
        row[j] = thresholds.get(thresholds.size() == 1 ? 0 : j);
      }
      return Tensor.of(row, 1, k - 1).to(like.dtype()).to(like.device());
    }
  }

  private static final List<String> POLICIES =
      List.of("all", "random", "sampling", "threshold", "none");

  private final int k;
  private final Further train;
  private final Further eval;
  private final Gating gating;
  private final Parameter weight;
  private final @Nullable Parameter bias;

  /** GShard (S05). */
  static RouterEntry gshard() {
    return entry(
        RouterEntry.of(
                "gshard-top-2",
                "S05",
                "top-2 by full softmax, the second expert by a policy; capacity by group")
            .choices(2)
            .losses("gshard"),
        "2",
        0.5,
        false);
  }

  /** ST-MoE (S18): n choices, each with its own threshold. */
  static RouterEntry stMoe() {
    return entry(
        RouterEntry.of(
                "st-moe",
                "S18",
                "top-n by full softmax, each expert after the first by its own threshold")
            .losses("switch"),
        "n",
        0.2,
        false);
  }

  /** An entry of this router with another default threshold, with or without a bias. */
  static RouterEntry entry(
      RouterEntry.Builder entry, String choices, double threshold, boolean bias) {
    return entry
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("choices", choices)
                .with("gate", "softmax then select + renormalised")
                .with("overflow", "drop by position")
                .with("systems", "capacity buffers"))
        .options(
            OptionKey.word("second-expert", "random", POLICIES, "when wanted in training"),
            OptionKey.word("second-expert-eval", "all", POLICIES, "when wanted in evaluation"),
            OptionKey.word(
                "threshold",
                Double.toString(threshold),
                List.of(),
                "of random (g / threshold) and threshold; or one each for 2nd, 3rd, ...: 0.2, 0.4"),
            OptionKey.word(
                "threshold-eval", "", List.of(), "the same in evaluation; empty: as in training"),
            OptionKey.word(
                "renormalise",
                "before-drop",
                List.of("before-drop", "after-drop", "no"),
                "when weights are divided by their sum (Lingvo: legacy before, else after)"))
        .valid(GShardRouter::valid)
        .build(
            s ->
                new GShardRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    further(s.options(), "second-expert", "threshold"),
                    evaluation(s.options()),
                    renormalise(s.options()),
                    bias,
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * (c.width() + (bias ? 1 : 0)));
  }

  private static void valid(MoeConfig config) {
    Options options = config.routerEntry().check(config);
    check(further(options, "second-expert", "threshold"), config.topK());
    check(evaluation(options), config.topK());
  }

  private static Further evaluation(Options options) {
    String own = options.word("threshold-eval").isBlank() ? "threshold" : "threshold-eval";
    return further(options, "second-expert-eval", own);
  }

  private static Further further(Options options, String policy, String thresholds) {
    List<Double> values = new ArrayList<>();
    for (String part : options.word(thresholds).split(",", -1)) {
      try {
        values.add(Double.valueOf(part.strip()));
      } catch (NumberFormatException e) {
        throw new MoeException(
            "option "
                + thresholds
                + " is \""
                + options.word(thresholds)
                + "\"; give a number, or one for each choice after the first, with commas");
      }
    }
    return new Further(options.constant(policy, Policy.class), values);
  }

  private static void check(Further further, int k) {
    int given = further.thresholds().size();
    if (given != 1 && given != k - 1) {
      throw new MoeException(
          given + " second-expert thresholds for top-k " + k + "; give 1 or " + (k - 1));
    }
  }

  private static Renormalise renormalise(Options options) {
    return switch (options.constant("renormalise", Renormalise.When.class)) {
      case NO -> Renormalise.NO;
      case BEFORE_DROP -> Renormalise.beforeDrop(1e-9);
      case AFTER_DROP -> Renormalise.afterDrop(Math.ulp(1.0f));
    };
  }

  /**
   * Makes {@code gate.weight} [E,d], and {@code gate.bias} [E] where asked for.
   *
   * @param train the choices after the first in training
   * @param eval the same in evaluation and decoding
   * @param renormalise division by the sum of all choices' weights
   */
  public GShardRouter(
      int width,
      int experts,
      int k,
      Further train,
      Further eval,
      Renormalise renormalise,
      boolean bias,
      Init init,
      ParameterStore store,
      int layer) {
    if (experts < k) {
      throw new MoeException("top-" + k + " needs at least " + k + " experts, not " + experts);
    }
    check(train, k);
    check(eval, k);
    this.k = k;
    this.train = train;
    this.eval = eval;
    this.gating = Gating.MIXTRAL.with(k == 1 ? Renormalise.NO : renormalise);
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, init, experts, width);
    this.bias = bias ? store.create("gate.bias", role, Init.zeros(), experts) : null;
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor shift = bias == null ? null : bias.tensor().to(type);
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), shift), context);
    Tensor gates = logits.softmax(-1);
    Evidence evidence = Evidence.of(logits, gates, gates, logits.detach());
    int experts = (int) logits.size(1);
    // By logits, not gates: a saturated softmax leaves ties at 0, and experts must differ.
    Tensor choices = Selection.top(logits, k);
    if (k == 1) {
      Tensor best = gates.gather(1, choices);
      return TokenChoice.of(experts, choices, best, gating, evidence).onlyReal(context);
    }
    Further further = context.training() ? train : eval;
    if (further.policy() == Policy.SAMPLING) {
      choices = sampled(logits, choices.narrow(1, 0, 1), context);
    }
    Tensor selected = gates.gather(1, choices);
    Tensor shares =
        gating.renormalise().when() == Renormalise.When.BEFORE_DROP
            ? gating.renormalise().divide(selected)
            : selected;
    Tensor rest = wanted(further, shares.detach().narrow(1, 1, k - 1), context);
    Tensor always = selected.detach().narrow(1, 0, 1).ge(0);
    Tensor wanted = Tensor.cat(List.of(always, rest), 1);
    if (further.policy() == Policy.NONE) {
      choices = choices.maskedFill(wanted.not(), -1);
    }
    return TokenChoice.of(experts, choices, wanted, selected, gating, evidence).onlyReal(context);
  }

  private Tensor wanted(Further further, Tensor shares, TokenContext context) {
    Tensor all = shares.ge(0);
    return switch (further.policy()) {
      case ALL, SAMPLING -> all;
      case NONE -> all.not();
      case THRESHOLD -> shares.gt(further.row(k, shares));
      case RANDOM -> {
        Tensor u = context.random().uniform(shares.size(0), k - 1).to(shares.device());
        Tensor chance = shares.div(further.row(k, shares).clampMin(1e-9));
        yield u.to(shares.dtype()).lt(chance);
      }
    };
  }

  /** The further experts by the Gumbel-max rule among all but the first. */
  private Tensor sampled(Tensor logits, Tensor first, TokenContext context) {
    Tensor closed =
        Tensor.full(Double.NEGATIVE_INFINITY, logits.dtype(), logits.device(), first.size(0), 1);
    Tensor noisy = Gumbel.perturbed(logits, context).scatter(1, first, closed);
    return Tensor.cat(List.of(first, Selection.top(noisy, k - 1)), 1);
  }
}
