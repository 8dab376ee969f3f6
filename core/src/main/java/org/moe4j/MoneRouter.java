package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Expert preferred routing over {@link NestedExperts} (S54, algorithm 1). From the largest expert
 * down each takes its share of a sequence's tokens, those with the highest router probability among
 * the tokens not yet taken; the smallest takes the rest, so that every token has exactly one
 * expert. The shares follow from a budget of compute, see {@link BudgetCapacities}. A token's
 * weight is {@code alpha r + 1}, r being its probability and alpha one trained number for the whole
 * model that starts at 0.
 *
 * <p>There is one router, at the first sparse layer; later layers use its decision and its
 * probabilities again. The paper puts it at the input of the first block and slices attention too;
 * a layer of this toolkit is the feed-forward half alone, so the router reads that half's input.
 *
 * <p>Experts rank all tokens of a sequence: for images and encoders, not for causal models.
 */
public final class MoneRouter implements Router {
  private static final String WEIGHT = "mone.weight";
  private static final String LOGITS = "mone.logits";
  private static final String TOKENS = "mone.tokens";
  private static final double[] ADAPTIVE = {.15, .25, .35, .45, .55, .65, .75, .85, .95};

  /**
   * What turns a budget into shares.
   *
   * @param experts E
   * @param beta weight of the entropy
   * @param delta ratio of rewards
   * @param reward which reading of them
   */
  private record Shares(int experts, double beta, double delta, BudgetCapacities.Reward reward) {
    double[] of(double budget) {
      return BudgetCapacities.solve(experts, budget, beta, delta, reward);
    }

    /** The paper's budgets for adaptive training that E experts can meet. */
    double[] feasible() {
      return Arrays.stream(ADAPTIVE)
          .filter(b -> experts == 1 || b > BudgetCapacities.costs(experts)[0])
          .toArray();
    }
  }

  private final Shares shares;
  private final double[] capacities;
  private final boolean adaptive;
  private final boolean decides;
  private final Parameter weight;
  private final Parameter bias;
  private final Parameter alpha;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "mone", "S54", "nested experts take tokens by preference under a compute budget")
        .causality(Causality.LOOKS_AROUND)
        .form(RoutingForm.EXPERT_CHOICE)
        .choices(1)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "expert")
                .with("unit", "patch")
                .with("choices", "1")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "by construction")
                .with("placement", "feed-forward + attention + every layer")
                .with("experts", "nested"))
        .options(
            OptionKey.number("budget", 0.4, "mean width over tokens as a share of the whole"),
            OptionKey.number("beta", 10, "weight of the entropy of the shares"),
            OptionKey.number("delta", 2, "ratio of the experts' rewards"),
            OptionKey.word(
                "reward",
                "product",
                List.of("product", "fraction"),
                "larger experts are rewarded (the paper's text) or the reverse (its formula)"),
            OptionKey.number("alpha", 0, "start of the trained factor on probabilities in weights"),
            OptionKey.flag(
                "adaptive", false, "in training draw the budget anew in every pass, 0.15 to 0.95"),
            OptionKey.word(
                "routers",
                "first",
                List.of("first", "every"),
                "one router for the whole model, or one per layer"))
        .valid(MoneRouter::check)
        .bank(NestedExperts.bank(c -> BudgetCapacities.cost(shares(c), costs(c))))
        .build(
            s -> new MoneRouter(solver(s.config()), s.options(), s.config(), s.store(), s.layer()),
            c -> (long) c.experts() * (c.width() + 1) + 1);
  }

  private static Shares solver(MoeConfig config) {
    Options o = config.routerEntry().check(config);
    return new Shares(
        config.experts(),
        o.number("beta"),
        o.number("delta"),
        o.constant("reward", BudgetCapacities.Reward.class));
  }

  private static double[] shares(MoeConfig config) {
    return solver(config).of(config.routerEntry().check(config).number("budget"));
  }

  private static double[] costs(MoeConfig config) {
    return BudgetCapacities.costs(config.experts());
  }

  private static void check(MoeConfig config) {
    NestedExperts.check(config.width(), config.experts());
    shares(config);
  }

  /** Makes or shares {@code weight} [E,d], {@code bias} [E] and {@code alpha}, a scalar. */
  private MoneRouter(
      Shares shares, Options options, MoeConfig config, ParameterStore store, int layer) {
    this.shares = shares;
    this.capacities = shares.of(options.number("budget"));
    this.adaptive = options.flag("adaptive");
    boolean every = options.word("routers").equals("every");
    this.decides = every || store.all().stream().noneMatch(p -> p.name().equals(WEIGHT));
    Role role = new Role.Gate(layer);
    Init init = config.init().gate(config.width());
    int experts = config.experts();
    this.weight =
        every
            ? store.create("gate.weight", role, init, experts, config.width())
            : store.shared(WEIGHT, role, init, experts, config.width());
    this.bias =
        every
            ? store.create("gate.bias", role, Init.zeros(), experts)
            : store.shared("mone.bias", role, Init.zeros(), experts);
    this.alpha = store.shared("mone.alpha", role, Init.constant(options.number("alpha")));
  }

  private MoneRouter(MoneRouter other, double[] capacities) {
    this.shares = other.shares;
    this.capacities = capacities;
    this.adaptive = false;
    this.decides = other.decides;
    this.weight = other.weight;
    this.bias = other.bias;
    this.alpha = other.alpha;
  }

  /** The shares of tokens that experts take, smallest expert first. */
  public double[] capacities() {
    return capacities.clone();
  }

  /** The same router with the shares of another budget. */
  public MoneRouter withBudget(double budget) {
    return new MoneRouter(this, shares.of(budget));
  }

  /**
   * The same router with these shares.
   *
   * @param shares of E experts, smallest first, with the sum 1
   * @throws MoeException if they are not that
   */
  public MoneRouter withCapacities(double... shares) {
    boolean positive = Arrays.stream(shares).allMatch(c -> c >= 0);
    if (shares.length != this.shares.experts()
        || !positive
        || Math.abs(Arrays.stream(shares).sum() - 1) > 1e-6) {
      throw new MoeException(
          "capacities "
              + Arrays.toString(shares)
              + "; give "
              + this.shares.experts()
              + " of at least 0 with the sum 1");
    }
    return new MoneRouter(this, shares.clone());
  }

  @Override
  public ExpertChoice route(Tensor x, TokenContext context) {
    Optional<Tensor> earlier = decides ? Optional.empty() : context.carried().read(TOKENS);
    Tensor logits;
    Tensor tokens;
    if (earlier.isPresent()) {
      tokens = earlier.orElseThrow();
      logits = context.carried().read(LOGITS).orElseThrow();
    } else {
      DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
      Tensor w = weight.tensor().to(type);
      logits = Logits.finite(Ops.linear(x.to(type), w, bias.tensor().to(type)), context);
      tokens = preferred(logits.softmax(-1), context);
      context.carried().write(LOGITS, logits);
      context.carried().write(TOKENS, tokens);
    }
    Tensor probabilities = logits.softmax(-1);
    Tensor scores = probabilities.mul(alpha.tensor().to(logits.dtype())).add(1);
    Tensor weights = scores.t().gather(1, tokens.maskedFill(tokens.lt(0), 0));
    return new ExpertChoice(
        tokens,
        weights,
        Gating.FIXED,
        Evidence.of(logits, probabilities, scores, probabilities.detach()));
  }

  /** Each expert's tokens [E,C], sequence by sequence; C is the most that one takes. */
  private Tensor preferred(Tensor probabilities, TokenContext context) {
    double[] r = probabilities.toDoubles();
    int experts = shares.experts();
    int length = Math.toIntExact(context.length());
    double[] c = adaptive && context.training() ? drawn(context) : capacities;
    Optional<byte[]> real = context.padding().map(Tensor::toBytes);
    List<List<Integer>> taken = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      taken.add(new ArrayList<>());
    }
    for (int start = 0; start < r.length / experts; start += length) {
      int[] tokens =
          IntStream.range(start, start + length)
              .filter(t -> real.isEmpty() || real.get()[t] != 0)
              .toArray();
      assign(r, tokens, c, taken);
    }
    int most = taken.stream().mapToInt(List::size).max().orElse(0);
    long[] rows = new long[experts * most];
    Arrays.fill(rows, -1);
    for (int e = 0; e < experts; e++) {
      for (int i = 0; i < taken.get(e).size(); i++) {
        rows[e * most + i] = taken.get(e).get(i);
      }
    }
    return Tensor.of(rows, experts, most).to(probabilities.device());
  }

  private double[] drawn(TokenContext context) {
    double[] budgets = shares.feasible();
    double u = context.random().uniform(1).item();
    return shares.of(budgets[(int) Math.min(budgets.length - 1.0, u * budgets.length)]);
  }

  /** Algorithm 1: the largest expert first, each among the tokens not yet taken. */
  private static void assign(double[] r, int[] tokens, double[] shares, List<List<Integer>> taken) {
    int experts = shares.length;
    List<Integer> free = IntStream.of(tokens).boxed().toList();
    for (int e = experts - 1; e > 0; e--) {
      int expert = e;
      // The guard keeps shares that are exact binary fractions from losing a token.
      int share = (int) Math.floor(shares[e] * tokens.length + 1e-6);
      int count = Math.min(share, free.size());
      List<Integer> ranked = new ArrayList<>(free);
      ranked.sort(Comparator.comparingDouble((Integer t) -> -r[t * experts + expert]));
      taken.get(e).addAll(ranked.subList(0, count).stream().sorted().toList());
      free = ranked.subList(count, ranked.size()).stream().sorted().toList();
    }
    taken.getFirst().addAll(free);
  }
}
