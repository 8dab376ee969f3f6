package org.moe4j;

import java.util.Optional;
import java.util.stream.LongStream;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The two-level mixture of the sparsely-gated layer (S01, appendix B): a noisy top-k gate chooses
 * groups of experts, a noisy top-k gate of each chosen group chooses among its experts, and the
 * weights of the two levels are multiplied. The plan is flat: expert j of group i is expert i b + j
 * of E = a b.
 *
 * <p>{@link ImportanceBalance} on these weights is the paper's Importance_H. The plan's membership
 * of token t in expert (i,j) is P_i(t) times the mean of P_(i,j) over the tokens that went to group
 * i, so that its sum over tokens, which {@link LoadBalance} takes, is the paper's Load_H(X)_(i,j) =
 * Load_i(X) Load_(i,j)(X_i) / |X_i|; 0 for a group without tokens. All E secondary logits are
 * computed for all tokens: the gate costs O(T d E).
 */
public final class HierarchicalRouter implements Router {
  private final Levels levels;
  private final NoisyGate primary;
  private final NoisyGate secondary;

  /**
   * How E experts and k choices are split between the levels.
   *
   * @param groups a
   * @param groupSize b; a b = E
   * @param groupChoices groups per token
   * @param innerChoices experts per chosen group; the product of both is k
   */
  public record Levels(int groups, int groupSize, int groupChoices, int innerChoices) {
    public Levels {
      if (groups < 1 || groupSize < 1 || groupChoices < 1 || innerChoices < 1) {
        throw new MoeException(
            "router \"hierarchical\" needs at least 1 group, expert and choice on each level");
      }
      if (groupChoices > groups || innerChoices > groupSize) {
        throw new MoeException(
            "router \"hierarchical\" cannot choose "
                + groupChoices
                + " of "
                + groups
                + " groups and "
                + innerChoices
                + " of the "
                + groupSize
                + " experts in each; change groups or group-choices");
      }
    }

    /**
     * The split of {@code experts} and {@code k}; a 0 stands for the evenest one: the most groups
     * up to the square root of E, and factors of k that are closest, the larger for the groups.
     *
     * @throws MoeException if E or k does not divide
     */
    public static Levels of(int experts, int k, int groups, int groupChoices) {
      int a = groups == 0 ? divisor(experts, (int) Math.sqrt(experts)) : groups;
      if (a < 0 || experts % a != 0) {
        throw new MoeException(
            "router \"hierarchical\": "
                + experts
                + " experts do not divide into "
                + a
                + " groups; change experts or groups");
      }
      int b = experts / a;
      int first = groupChoices == 0 ? evenest(k, a, b) : groupChoices;
      if (first < 1 || k % first != 0) {
        throw new MoeException(
            "router \"hierarchical\": top-k "
                + k
                + " does not divide into choices among "
                + a
                + " groups of "
                + b
                + " experts; change top-k, groups or group-choices");
      }
      return new Levels(a, b, first, k / first);
    }

    private static int divisor(int n, int atMost) {
      int d = atMost;
      while (n % d != 0) {
        d--;
      }
      return d;
    }

    /** The smallest factor of k from its square root on that fits; a smaller one if none does. */
    private static int evenest(int k, int a, int b) {
      int best = 0;
      for (int first = 1; first <= Math.min(k, a); first++) {
        boolean fits = k % first == 0 && k / first <= b;
        if (fits && (best == 0 || best * best < k)) {
          best = first;
        }
      }
      return best;
    }

    private static Levels of(MoeConfig config) {
      Options o = config.routerEntry().check(config);
      return of(config.experts(), config.topK(), o.whole("groups"), o.whole("group-choices"));
    }
  }

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "hierarchical",
            "S01",
            "two levels of noisy top-k gates: groups, then experts inside; weights multiplied")
        .evidence(Evidence.Kind.PROBABILITIES, Evidence.Kind.MEMBERSHIP)
        .losses("importance", "load")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "select then softmax")
                .with("balance", "importance and load")
                .with("systems", "model parallel"))
        .options(
            OptionKey.whole("groups", 0, "groups of experts; 0: the most up to sqrt(E)"),
            OptionKey.whole(
                "group-choices", 0, "groups per token, a factor of top-k; 0: the evenest (S01: 2)"),
            NoisyTopKRouter.epsilon(0))
        .valid(Levels::of)
        .flops(c -> 4L * c.width() * (c.experts() + Levels.of(c).groups()))
        .build(
            s ->
                new HierarchicalRouter(
                    s.config().width(),
                    Levels.of(s.config()),
                    s.options().number("noise-epsilon"),
                    s.store(),
                    s.layer()),
            c -> 2L * c.width() * (c.experts() + Levels.of(c).groups()));
  }

  /**
   * Makes {@code gate.groups.weight}, {@code gate.groups.noise_weight} [a,d], {@code gate.weight}
   * and {@code gate.noise_weight} [E,d], all zero.
   *
   * @param epsilon added to the noise's deviation: 0 in the paper
   */
  public HierarchicalRouter(
      int width, Levels levels, double epsilon, ParameterStore store, int layer) {
    this.levels = levels;
    int a = levels.groups();
    Init zeros = Init.zeros();
    this.primary =
        new NoisyGate(
            "gate.groups", width, a, 1, levels.groupChoices(), epsilon, zeros, store, layer);
    this.secondary =
        new NoisyGate(
            "gate",
            width,
            a * levels.groupSize(),
            a,
            levels.innerChoices(),
            epsilon,
            zeros,
            store,
            layer);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    Tensor own = x.to(x.dtype() == DType.F64 ? DType.F64 : DType.F32);
    NoisyGate.Draw groups = primary.draw(own, context);
    NoisyGate.Draw inner = secondary.draw(own, context);
    long tokens = own.size(0);
    int a = levels.groups();
    int b = levels.groupSize();
    int k1 = levels.groupChoices();
    int k2 = levels.innerChoices();
    Tensor group = groups.choices().unsqueeze(2).expand(tokens, k1, k2).contiguous();
    Tensor starts = Tensor.of(LongStream.range(0, a).map(i -> i * b).toArray(), 1, a, 1);
    Tensor numbered = inner.choices().view(tokens, a, k2).add(starts.to(group.device()));
    Tensor choices = numbered.gather(1, group);
    Tensor weights =
        inner
            .weights()
            .view(tokens, a, k2)
            .gather(1, group)
            .mul(groups.weights().unsqueeze(2))
            .view(tokens, k1 * (long) k2);
    Tensor chosen = choices.view(tokens, k1 * (long) k2);
    return TokenChoice.of(
            a * b, chosen, weights, Gating.FIXED, evidence(groups, inner, chosen, weights, context))
        .onlyReal(context);
  }

  private Evidence evidence(
      NoisyGate.Draw groups,
      NoisyGate.Draw inner,
      Tensor chosen,
      Tensor weights,
      TokenContext context) {
    long tokens = chosen.size(0);
    int a = levels.groups();
    int b = levels.groupSize();
    Tensor probabilities =
        inner
            .clean()
            .softmax(-1)
            .view(tokens, a, b)
            .mul(groups.clean().softmax(-1).unsqueeze(2))
            .view(tokens, a * (long) b);
    Tensor scores =
        Tensor.zeros(weights.dtype(), weights.device(), tokens, a * (long) b)
            .scatter(1, chosen, weights);
    Evidence evidence = Evidence.of(probabilities, scores, scores.detach());
    Optional<Tensor> load =
        groups.membership().isPresent() || inner.membership().isPresent()
            ? Optional.of(membership(groups, inner, context))
            : Optional.empty();
    return load.map(evidence::withMembership).orElse(evidence);
  }

  private Tensor membership(NoisyGate.Draw groups, NoisyGate.Draw inner, TokenContext context) {
    long tokens = groups.clean().size(0);
    int a = levels.groups();
    int b = levels.groupSize();
    Tensor in = TokenChoices.onlyReal(groups.chosen(), context);
    Tensor sums = inner.expected().view(tokens, a, b).mul(in.unsqueeze(2)).sum(0, false);
    Tensor mean = sums.div(in.sum(0, false).clampMin(1).unsqueeze(1));
    return groups.expected().unsqueeze(2).mul(mean.unsqueeze(0)).view(tokens, a * (long) b);
  }
}
