package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Routing by sparsity-constrained optimal transport (S23): the softmax M of the logits is the
 * similarity, -M the cost of a {@link SparseTransport transport} between the S tokens of a group,
 * of mass 1 each, and the E experts, of mass S/E each, solved by some steps of Adam. Two routers:
 *
 * <ul>
 *   <li>tokens choose: at most k experts for each token, its plan sums to 1, loads are only nearly
 *       even;
 *   <li>experts choose: at most C = ceil(k S / E) tokens for each expert (the code rounds C up to a
 *       multiple of 4).
 * </ul>
 *
 * <p>The weights are M at the chosen pairs, which carries the gradient, or the plan itself as a
 * constant. The plan looks at the whole group, in evaluation too. The causal form of the first
 * router uses it in training alone and takes the k best logits otherwise, as S22 asks of transport
 * plans in language models.
 */
public final class SparseTransportRouter implements Router {
  /** Who chooses, and where the plan is used. */
  public enum Form {
    /** Tokens, in every phase. */
    TOKENS,
    /** Tokens, by the plan in training alone. */
    TOKENS_IN_TRAINING,
    /** Experts, in every phase. */
    EXPERTS
  }

  /**
   * The solver's numbers.
   *
   * @param gamma of the quadratic regulariser
   * @param rate of Adam
   * @param iterations of Adam
   */
  public record Solver(double gamma, double rate, int iterations) {
    /** The paper's: gamma 1, rate 0.01, 20 steps. */
    public static final Solver DEFAULT = new Solver(1, 1e-2, 20);

    public Solver {
      if (!(gamma > 0) || !(rate > 0) || iterations < 0) {
        throw new MoeException(
            "sparse transport with gamma "
                + gamma
                + ", learning rate "
                + rate
                + " and "
                + iterations
                + " iterations; give numbers above 0");
      }
    }
  }

  private static final OptionKey PLAN_WEIGHTS =
      OptionKey.word(
          "weights", "softmax", List.of("softmax", "plan"), "what multiplies the outputs");
  private static final OptionKey MULTIPLE =
      OptionKey.whole("multiple", 1, "an expert's tokens are rounded up to this (code: 4)");

  private final Form form;
  private final int k;
  private final Solver solver;
  private final Grouping grouping;
  private final boolean planWeights;
  private final int multiple;
  private final Parameter weight;

  /** Tokens choose by the plan, the paper's router for encoders. */
  static RouterEntry tokens() {
    return entry(
        RouterEntry.of("sparse-ot-token", "S23", "each token at most k experts of a balanced plan")
            .causality(Causality.LOOKS_AROUND)
            .options(keys(PLAN_WEIGHTS)),
        Form.TOKENS);
  }

  /** Tokens choose by the plan in training, by logits otherwise. */
  static RouterEntry causalTokens() {
    return entry(
        RouterEntry.of(
                "sparse-ot-token-causal",
                "S23",
                "sparse-ot-token in training, the best logits in evaluation")
            .causality(Causality.TRAINING_ONLY)
            .options(keys()),
        Form.TOKENS_IN_TRAINING);
  }

  /** Experts choose by the plan. */
  static RouterEntry experts() {
    return entry(
        RouterEntry.of("sparse-ot-expert", "S23", "each expert at most C tokens of a balanced plan")
            .causality(Causality.LOOKS_AROUND)
            .form(RoutingForm.EXPERT_CHOICE)
            .options(keys(PLAN_WEIGHTS, MULTIPLE)),
        Form.EXPERTS);
  }

  private static List<OptionKey> keys(OptionKey... more) {
    Solver standard = Solver.DEFAULT;
    List<OptionKey> keys = new ArrayList<>();
    keys.add(OptionKey.number("gamma", standard.gamma(), "of the quadratic regulariser"));
    keys.add(OptionKey.number("learning-rate", standard.rate(), "of the solver (Adam)"));
    keys.add(OptionKey.whole("iterations", standard.iterations(), "of the solver (Adam)"));
    keys.add(
        OptionKey.word(
            "group", "batch", List.of("batch", "sequence"), "the tokens that share a plan"));
    keys.addAll(List.of(more));
    return keys;
  }

  private static RouterEntry entry(RouterEntry.Builder entry, Form form) {
    return entry
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "global assignment")
                .with("choices", form == Form.EXPERTS ? "variable" : "n")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "assignment"))
        .build(
            s ->
                new SparseTransportRouter(
                    s.config(),
                    form,
                    new Solver(
                        s.options().number("gamma"),
                        s.options().number("learning-rate"),
                        s.options().whole("iterations")),
                    s.options().word("group").equals("batch") ? Grouping.BATCH : Grouping.SEQUENCE,
                    s.options().has("weights") && s.options().word("weights").equals("plan"),
                    s.options().has("multiple") ? s.options().whole("multiple") : 1,
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param config whose width, experts, top-k and initialisation it takes
   * @param grouping the tokens that share a plan
   * @param planWeights weighs by the plan, else by the softmax
   * @param multiple an expert's number of tokens is rounded up to it
   */
  public SparseTransportRouter(
      MoeConfig config,
      Form form,
      Solver solver,
      Grouping grouping,
      boolean planWeights,
      int multiple,
      ParameterStore store,
      int layer) {
    if (multiple < 1) {
      throw new MoeException("sparse transport: multiple " + multiple + "; give at least 1");
    }
    this.form = form;
    this.k = config.topK();
    this.solver = solver;
    this.grouping = grouping;
    this.planWeights = planWeights;
    this.multiple = multiple;
    this.weight =
        store.create(
            "gate.weight",
            new Role.Gate(layer),
            config.init().gate(config.width()),
            config.experts(),
            config.width());
  }

  @Override
  public Routing route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor similarity = logits.softmax(-1);
    return switch (form) {
      case TOKENS -> byTokens(logits, similarity, context);
      case TOKENS_IN_TRAINING ->
          context.training()
              ? byTokens(logits, similarity, context)
              : byLogits(logits, similarity, context);
      case EXPERTS -> byExperts(logits, similarity, context);
    };
  }

  private TokenChoice byLogits(Tensor logits, Tensor similarity, TokenContext context) {
    return choice(Selection.top(logits, k), similarity, logits, similarity, logits, context);
  }

  private TokenChoice byTokens(Tensor logits, Tensor similarity, TokenContext context) {
    int experts = (int) logits.size(1);
    double[] m = similarity.detach().toDoubles();
    double[] plan = new double[m.length];
    for (int[] group : groups(context)) {
      double[] cost = new double[group.length * experts];
      for (int c = 0; c < cost.length; c++) {
        cost[c] = -m[group[c / experts] * experts + c % experts];
      }
      double share = (double) group.length / experts;
      double[] solved = solved(cost, masses(experts, share), masses(group.length, 1), k);
      for (int c = 0; c < cost.length; c++) {
        plan[group[c / experts] * experts + c % experts] = solved[c];
      }
    }
    Tensor selection =
        Tensor.of(plan, context.tokens(), experts).to(logits.dtype()).to(logits.device());
    Tensor best = Selection.top(selection, k);
    // Fewer than k where the plan has fewer non-zeros.
    Tensor choices = best.maskedFill(selection.gather(1, best).gt(0).not(), -1);
    Tensor scores = planWeights ? selection : similarity;
    return choice(choices, scores, logits, similarity, selection, context);
  }

  private static TokenChoice choice(
      Tensor choices,
      Tensor scores,
      Tensor logits,
      Tensor similarity,
      Tensor selection,
      TokenContext context) {
    Gating gating = Gating.SOFTMAX_TOP_K;
    return TokenChoice.of(
            (int) logits.size(1),
            choices,
            gating.selected(scores, choices),
            gating,
            Evidence.of(logits, similarity, scores, selection.detach()))
        .onlyReal(context);
  }

  private ExpertChoice byExperts(Tensor logits, Tensor similarity, TokenContext context) {
    int experts = (int) logits.size(1);
    int slots = slots((int) grouping.groupSize(context), experts);
    List<int[]> groups = groups(context);
    int all = groups.size() * slots;
    long[] chosen = new long[experts * all];
    Arrays.fill(chosen, -1);
    double[] m = similarity.detach().toDoubles();
    double[] plan = new double[m.length];
    for (int g = 0; g < groups.size(); g++) {
      int[] group = groups.get(g);
      int tokens = group.length;
      double[] cost = new double[tokens * experts];
      for (int c = 0; c < cost.length; c++) {
        cost[c] = -m[group[c % tokens] * experts + c / tokens];
      }
      double share = (double) tokens / experts;
      int most = Math.min(slots, tokens);
      double[] solved =
          tokens == 0 ? cost : solved(cost, masses(tokens, 1), masses(experts, share), most);
      for (int e = 0; e < experts; e++) {
        int next = e * all + g * slots;
        for (int i = 0; i < tokens; i++) {
          if (solved[e * tokens + i] > 0) {
            plan[group[i] * experts + e] = solved[e * tokens + i];
            chosen[next++] = group[i];
          }
        }
      }
    }
    Tensor tokens = Tensor.of(chosen, experts, all).to(logits.device());
    Tensor selection =
        Tensor.of(plan, context.tokens(), experts).to(logits.dtype()).to(logits.device());
    Tensor scores = planWeights ? selection : similarity;
    Tensor weights =
        all == 0
            ? Tensor.zeros(logits.dtype(), logits.device(), experts, 0)
            : scores.t().gather(1, tokens.maskedFill(tokens.lt(0), 0));
    return new ExpertChoice(
        tokens, weights, Gating.SOFTMAX_TOP_K, Evidence.of(logits, similarity, scores, selection));
  }

  /** C for groups of {@code tokens}. */
  private int slots(int tokens, int experts) {
    long share = ((long) k * tokens + experts - 1) / experts;
    return (int) Math.min(tokens, (share + multiple - 1) / multiple * multiple);
  }

  private double[] solved(double[] cost, double[] a, double[] b, int most) {
    if (b.length == 0) {
      return cost;
    }
    SparseTransport transport =
        new SparseTransport(cost, a, b, solver.gamma(), Math.min(most, a.length));
    return transport.plan(transport.adam(solver.rate(), solver.iterations()));
  }

  private static double[] masses(int n, double each) {
    double[] masses = new double[n];
    Arrays.fill(masses, each);
    return masses;
  }

  /** The real tokens of each group. */
  private List<int[]> groups(TokenContext context) {
    int size = Math.toIntExact(grouping.groupSize(context));
    int groups = Math.toIntExact(grouping.groups(context));
    byte[] real = context.padding().map(Tensor::toBytes).orElse(new byte[0]);
    List<int[]> members = new ArrayList<>();
    for (int g = 0; g < groups; g++) {
      int[] group = new int[size];
      int n = 0;
      for (int t = g * size; t < (g + 1) * size; t++) {
        if (real.length == 0 || real[t] != 0) {
          group[n++] = t;
        }
      }
      members.add(Arrays.copyOf(group, n));
    }
    return members;
  }
}
