package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The router of sigma-MoE (S29): logits z = x W^T, scores sigmoid(z), the k largest chosen, their
 * scores the weights, neither renormalised nor in competition. In training each score is left out
 * of the choice with some probability (expert dropout: a whole expert of a token, never a part of
 * one). If fewer than k remain, left-out experts are chosen after the others; their weights, too,
 * are their scores.
 *
 * <p>Unless told otherwise the layer starts as S29 says, with the deviations of the dense layer of
 * width E h that it stands for: sqrt(2 / (d L)) in and sqrt(2 / (E h L)) out, L the model's layers;
 * the gate's rows all have the same length.
 */
public final class SigmaMoeRouter implements Router {
  private static final Gating GATING = Gating.SOFTMAX_TOP_K.with(Gating.Score.SIGMOID);
  private static final String DROPOUT = "expert-dropout";
  private static final String LAYERS = "model-layers";
  private static final String DENSE_INIT = "dense-init";

  private final Gating gating;
  private final int k;
  private final double dropout;
  private final Parameter weight;

  /**
   * Makes {@code gate.weight} [E,d].
   *
   * @param dropout chance of an expert to be left out of a token's choice in training
   */
  SigmaMoeRouter(
      Gating gating,
      int width,
      int experts,
      int k,
      double dropout,
      Init init,
      ParameterStore store,
      int layer) {
    gating.groups().check(experts, k);
    if (!(dropout >= 0 && dropout < 1)) {
      throw new MoeException("option expert-dropout is " + dropout + "; give 0 <= p < 1");
    }
    if (gating.selectionBias() || gating.order() != Gating.Order.SCORE_THEN_SELECT) {
      throw new MoeException(
          "router \"sigma-moe\" chooses by scores alone; leave out the options order and"
              + " selection-bias");
    }
    this.gating = gating;
    this.k = k;
    this.dropout = dropout;
    this.weight = store.create("gate.weight", new Role.Gate(layer), init, experts, width);
  }

  /** The registry's entry. */
  static RouterEntry entry() {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(GATING));
    keys.add(
        OptionKey.number(DROPOUT, 0, "chance of an expert to be left out of a token's choice"));
    keys.add(
        OptionKey.flag(
            DENSE_INIT, true, "start as the dense layer of all experts together; false: init's"));
    keys.add(
        OptionKey.whole(
            LAYERS, 1, "layers of the model, for dense-init; a training configuration sets it"));
    RouterEntry.Bank bank =
        new RouterEntry.Bank(
            SigmaMoeRouter::experts,
            c -> c.experts() * c.form().parameters(c.width(), c.expertWidth()),
            c -> c.topK() * c.form().parameters(c.width(), c.expertWidth()),
            c -> 2L * c.topK() * c.form().matrices() * c.width() * c.expertWidth());
    return RouterEntry.of(
            "sigma-moe",
            "S29",
            "sigmoid scores as they are, expert dropout, dense-equivalent start")
        .options(keys)
        .losses("batch-entropy")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "sigmoid + not renormalised")
                .with("balance", "entropy")
                .with("placement", "feed-forward + every layer"))
        .bank(bank)
        .build(
            s ->
                new SigmaMoeRouter(
                    GatingOptions.read(s.options()),
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number(DROPOUT),
                    s.options().flag(DENSE_INIT)
                        ? equalRows(deviation(s, s.config().width()))
                        : s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width());
  }

  private static FeedForwardExperts experts(RouterSetup s) {
    MoeConfig c = s.config();
    boolean dense = s.options().flag(DENSE_INIT);
    long all = (long) c.experts() * c.expertWidth();
    return new FeedForwardExperts(
        c.form(),
        c.experts(),
        c.width(),
        c.expertWidth(),
        c.expertDropout(),
        dense ? Init.normal(deviation(s, c.width())) : c.init().weight(c.width()),
        dense ? Init.normal(deviation(s, all)) : c.init().weight(c.expertWidth()),
        s.store(),
        s.layer());
  }

  private static double deviation(RouterSetup s, long fanIn) {
    int layers = s.options().whole(LAYERS);
    if (layers < 1) {
      throw new MoeException("option model-layers is " + layers + "; give at least 1");
    }
    return Math.sqrt(2.0 / ((double) fanIn * layers));
  }

  /**
   * Normal numbers whose rows are then given one length, the deviation of all staying as it was.
   */
  static Init equalRows(double std) {
    return (random, shape) -> {
      Tensor w = random.normal(0, std, DType.F32, shape);
      Tensor directions = w.div(w.square().sum(-1, true).sqrt().add(1e-30));
      double spread = deviation(directions);
      return spread == 0 ? w : directions.mul(deviation(w) / spread);
    };
  }

  private static double deviation(Tensor w) {
    return Math.sqrt(w.sub(w.mean()).square().mean().item());
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = gating.productType(x);
    Tensor logits = Logits.finite(Ops.linear(x.to(type), weight.tensor().to(type), null), context);
    Tensor prepared = gating.prepared(logits);
    Tensor scores = gating.rounded(gating.score().of(prepared), x);
    Tensor selection = gating.groups().apply(scores.detach());
    if (dropout > 0 && context.training()) {
      Tensor left = context.random().uniform(selection.shape()).to(x.device()).lt(dropout);
      // Behind all others but in their own order: scores lie between 0 and 1.
      selection = selection.sub(left.to(selection.dtype()).mul(2));
    }
    Tensor choices = Selection.top(selection, k);
    Evidence evidence = Evidence.of(logits, prepared.softmax(-1), scores, selection);
    return TokenChoice.of(
            (int) logits.size(1), choices, gating.selected(scores, choices), gating, evidence)
        .onlyReal(context);
  }
}
