package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * MoMa (S53): every modality has its own experts; inside a group experts choose tokens by sigmoid
 * scores, each {@code ceil(k n / |group|)} of the batch's n tokens of the modality (k = 1 in the
 * paper: a token meets one expert on average). Weights are the scores as they are.
 *
 * <p>That choice looks at later tokens and other sequences, so it is made in training alone, where
 * it makes losses slightly too good. Beside it an auxiliary router, a small network per group that
 * sees one token, learns to predict which experts take the token: {@code a = sigmoid(SiLU(x W1)
 * W2)} by binary cross-entropy. Its input is detached, so it teaches nothing to the rest of the
 * model. In evaluation and decoding a token meets the experts with a above 1/2, none or several,
 * with the main router's scores as weights: causal, and independent of the batch.
 *
 * <p>The paper trains auxiliary routers in a second stage with all else frozen; here they learn
 * beside the model, whose choices they follow with a lag.
 */
public final class MomaRouter implements Router {
  private static final Gating GATING = Gating.SOFTMAX_TOP_K.with(Gating.Score.SIGMOID);

  private final ModalityGroups groups;
  private final int experts;
  private final int k;
  private final boolean gumbel;
  private final double auxiliaryLoss;
  private final int inner;
  private final Parameter weight;
  private final Parameter auxiliaryIn;
  private final Parameter auxiliaryOut;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "moma",
            "S53",
            "experts by modality, expert choice inside; a router per token for evaluation")
        .causality(Causality.TRAINING_ONLY)
        .form(RoutingForm.EXPERT_CHOICE)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("chooser", "fixed rule + expert")
                .with("unit", "modality + token")
                .with("choices", "variable")
                .with("gate", "sigmoid + not renormalised")
                .with("balance", "by construction + by data")
                .with("overflow", "unchosen skip")
                .with("placement", "feed-forward + every layer")
                .with("experts", "few large")
                .with("use", "pre-train + upcycle"))
        .options(
            OptionKey.word(
                "group-sizes", "", List.of(), "experts per modality, as 6,2; empty: halves"),
            OptionKey.word(
                "tags",
                "fold",
                List.of("fold", "domain", "id"),
                "modality: domain modulo groups, exact domain, or token id (the paper's)"),
            OptionKey.whole("first-image-id", 0, "first token id of the second modality, for id"),
            OptionKey.flag(
                "gumbel", false, "Gumbel-sigmoid noise in training (the paper's upcycling stage)"),
            OptionKey.number(
                "auxiliary-loss", 1, "weight of the auxiliary router's loss; 0: untrained"))
        .valid(MomaRouter::groups)
        .flops(c -> 2L * c.width() * c.experts() + auxiliary(c) * 2)
        .expertsPerToken(c -> Math.min(c.topK(), groups(c).largest()))
        .build(
            s ->
                new MomaRouter(
                    groups(s.config()),
                    s.config(),
                    s.options().flag("gumbel"),
                    s.options().number("auxiliary-loss"),
                    s.store(),
                    s.layer()),
            c -> (long) c.width() * c.experts() + auxiliary(c));
  }

  private static ModalityGroups groups(MoeConfig config) {
    Options o = config.routerEntry().check(config);
    return ModalityGroups.of(
        o.word("group-sizes"),
        config.experts(),
        o.constant("tags", ModalityGroups.Tags.class),
        o.whole("first-image-id"));
  }

  private static long auxiliary(MoeConfig config) {
    long inner = inner(config.width());
    return inner * ((long) groups(config).count() * config.width() + config.experts());
  }

  private static int inner(int width) {
    return Math.max(1, width / 2);
  }

  /**
   * Makes {@code gate.weight} [E,d], {@code gate.auxiliary_in} [M d/2, d] with d/2 rows per group,
   * and {@code gate.auxiliary_out} [E, d/2].
   */
  private MomaRouter(
      ModalityGroups groups,
      MoeConfig config,
      boolean gumbel,
      double auxiliaryLoss,
      ParameterStore store,
      int layer) {
    if (!(auxiliaryLoss >= 0)) {
      throw new MoeException("auxiliary loss " + auxiliaryLoss + "; give at least 0");
    }
    this.groups = groups;
    this.experts = config.experts();
    this.k = config.topK();
    this.gumbel = gumbel;
    this.auxiliaryLoss = auxiliaryLoss;
    this.inner = inner(config.width());
    int d = config.width();
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, config.init().gate(d), experts, d);
    this.auxiliaryIn =
        store.create(
            "gate.auxiliary_in", role, config.init().gate(d), (long) groups.count() * inner, d);
    this.auxiliaryOut =
        store.create("gate.auxiliary_out", role, config.init().gate(inner), experts, inner);
  }

  @Override
  public Routing route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    Tensor logits = Logits.finite(Ops.linear(own, weight.tensor().to(type), null), context);
    int[] group = groups.of(context);
    Tensor mine = groups.own(group, experts, x.device());
    return context.training()
        ? chosenByExperts(own, logits, group, mine, context)
        : chosenByTokens(own, logits, group, mine);
  }

  private ExpertChoice chosenByExperts(
      Tensor x, Tensor logits, int[] group, Tensor mine, TokenContext context) {
    Tensor noisy = gumbel ? logits.add(logistic(logits, context)) : logits;
    Tensor scores = noisy.sigmoid();
    Tensor selection = scores.detach().maskedFill(mine.not(), Double.NEGATIVE_INFINITY);
    ExpertChoice plan =
        TopTokens.choose(
            selection,
            scores,
            new int[][] {shares(group)},
            GATING,
            evidence(logits, scores, selection, mine));
    if (auxiliaryLoss == 0) {
      return plan;
    }
    Tensor loss = auxiliaryLoss(auxiliary(x.detach()), plan, group).mul(auxiliaryLoss);
    return new ExpertChoice(
        plan.tokens(),
        plan.weights(),
        GATING,
        plan.evidence().withLosses(Map.of("moma-auxiliary", loss)));
  }

  /** The difference of two Gumbel variables: logistic, finite for every draw. */
  static Tensor logistic(Tensor like, TokenContext context) {
    Tensor u = context.random().uniform(0, 1, DType.F64, like.shape()).clamp(1e-12, 1 - 1e-12);
    return u.log().sub(u.neg().add(1).log()).to(like.device()).to(like.dtype());
  }

  private static Evidence evidence(Tensor logits, Tensor scores, Tensor selection, Tensor mine) {
    Tensor inside = scores.mul(mine.to(scores.dtype()));
    Tensor probabilities = inside.div(inside.sum(-1, true).add(1e-20));
    return Evidence.of(logits, probabilities, scores, selection);
  }

  /** Tokens that each expert takes, [E]. */
  private int[] shares(int[] group) {
    int[] shares = new int[experts];
    for (int m = 0; m < groups.count(); m++) {
      int modality = m;
      long n = Arrays.stream(group).filter(g -> g == modality).count();
      // In whole numbers: rounding a fraction up goes wrong by one for some sizes.
      long share = Math.min((k * n + groups.size(m) - 1L) / groups.size(m), n);
      Arrays.fill(shares, groups.first(m), groups.first(m) + groups.size(m), (int) share);
    }
    return shares;
  }

  /** Logits of the auxiliary routers [T,E], each expert's by its own group's. */
  private Tensor auxiliary(Tensor x) {
    DType type = x.dtype();
    Tensor hidden = Ops.silu(Ops.linear(x, auxiliaryIn.tensor().to(type), null));
    Tensor out = auxiliaryOut.tensor().to(type);
    List<Tensor> logits = new ArrayList<>();
    for (int m = 0; m < groups.count(); m++) {
      logits.add(
          Ops.linear(
              hidden.narrow(1, (long) m * inner, inner),
              out.narrow(0, groups.first(m), groups.size(m)),
              null));
    }
    return Tensor.cat(logits, 1);
  }

  /** Binary cross-entropy with the experts' choice: mean over a group's pairs, sum over groups. */
  private Tensor auxiliaryLoss(Tensor logits, ExpertChoice plan, int[] group) {
    double[] taken = new double[group.length * experts];
    double[] weight = new double[group.length * experts];
    long[] tokens = plan.tokens().toLongs();
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i] >= 0) {
        int expert = (int) (i / plan.capacity());
        taken[Math.toIntExact(tokens[i]) * experts + expert] = 1;
      }
    }
    long[] count = new long[groups.count()];
    Arrays.stream(group).filter(g -> g >= 0).forEach(g -> count[g]++);
    for (int t = 0; t < group.length; t++) {
      if (group[t] >= 0) {
        int start = t * experts + groups.first(group[t]);
        int size = groups.size(group[t]);
        Arrays.fill(weight, start, start + size, 1.0 / ((double) count[group[t]] * size));
      }
    }
    Tensor target = Tensor.of(taken, logits.shape()).to(logits.device()).to(logits.dtype());
    Tensor mean = Tensor.of(weight, logits.shape()).to(logits.device()).to(logits.dtype());
    return Ops.softplus(logits).sub(logits.mul(target)).mul(mean).sum();
  }

  private TokenChoice chosenByTokens(Tensor x, Tensor logits, int[] group, Tensor mine) {
    Tensor scores = logits.sigmoid();
    Tensor auxiliary = auxiliary(x).detach();
    int most = groups.largest();
    long[] choices = new long[group.length * most];
    Arrays.fill(choices, -1);
    for (int t = 0; t < group.length; t++) {
      for (int j = 0; group[t] >= 0 && j < groups.size(group[t]); j++) {
        choices[t * most + j] = (long) groups.first(group[t]) + j;
      }
    }
    Tensor experts = Tensor.of(choices, group.length, most).to(x.device());
    Tensor known = experts.ge(0);
    Tensor wanted = GATING.selected(auxiliary, experts).gt(0).and(known);
    return TokenChoice.of(
        this.experts,
        experts,
        wanted,
        GATING.selected(scores, experts),
        GATING,
        evidence(logits, scores, auxiliary, mine));
  }
}
