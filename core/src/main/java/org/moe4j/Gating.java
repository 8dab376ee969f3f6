package org.moe4j;

import java.util.function.Consumer;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/**
 * How logits become choices and weights: every decision that checkpoints differ in, as data.
 * Nothing is inferred.
 *
 * @param score the function from logits to scores
 * @param logitScale logits are multiplied by it first; for {@link Score#Z_SCORED} their standard
 *     deviation becomes it
 * @param order score all experts and then select, or select by logit and score the selected alone
 * @param selectionBias a number per expert is added to the scores for the selection alone; it is
 *     state, not trained by gradient
 * @param groups limit of the selection to groups of experts
 * @param renormalise division of a token's weights by their sum or another norm
 * @param scale factor of the final weights
 * @param weightOn whether the weight multiplies the expert's output or its input
 * @param dtype the type of the router's product and scores; F64 stays F64
 * @param rounding what is rounded to the type of x before it goes on in {@code dtype}
 */
public record Gating(
    Score score,
    double logitScale,
    Order order,
    boolean selectionBias,
    GroupLimit groups,
    Renormalise renormalise,
    double scale,
    WeightOn weightOn,
    DType dtype,
    Rounding rounding) {

  /** From logits to scores. */
  public enum Score {
    /** exp(z) divided by the sum over experts. */
    SOFTMAX,
    /** 1 / (1 + exp(-z)) for each expert alone. */
    SIGMOID,
    /** The logits themselves. */
    RAW,
    /** Softmax of logits with mean 0 and a fixed (unbiased) standard deviation (S44). */
    Z_SCORED;

    /** Scores along the last dimension. */
    Tensor of(Tensor logits) {
      return switch (this) {
        case SOFTMAX, Z_SCORED -> logits.softmax(-1);
        case SIGMOID -> logits.sigmoid();
        case RAW -> logits;
      };
    }
  }

  /** Whether scores are taken over all experts or over the selected ones. */
  public enum Order {
    /** Score all E, then select k. */
    SCORE_THEN_SELECT,
    /** Select k by logit, then score these k. */
    SELECT_THEN_SCORE
  }

  /** What the combine weight multiplies. */
  public enum WeightOn {
    /** The expert's output. */
    OUTPUT,
    /** The expert's input (Llama 4). */
    INPUT
  }

  /**
   * What is rounded to the type of x, below F32. It can decide which expert wins, so a checkpoint
   * gives its own choices only with the rounding of its own code. (Whether the final weights are
   * rounded too is left out: that is no more than the rounding of the output.)
   */
  public enum Rounding {
    /** Nothing: DeepSeek, GLM and ERNIE multiply by the gate in F32. */
    NONE,
    /** The logits, a product in the type of x: Mixtral, Qwen, OLMoE, Granite, gpt-oss. */
    LOGITS,
    /** The scores: Switch in transformers. */
    SCORES,
    /** Logits and scores: DBRX. */
    BOTH;

    boolean ofLogits() {
      return this == LOGITS || this == BOTH;
    }

    boolean ofScores() {
      return this == SCORES || this == BOTH;
    }
  }

  /** Softmax over all, the k best divided by their sum: Mixtral, Qwen3 (R1). */
  public static final Gating MIXTRAL =
      new Gating(
          Score.SOFTMAX,
          1,
          Order.SCORE_THEN_SELECT,
          false,
          GroupLimit.NONE,
          Renormalise.beforeDrop(0),
          1,
          WeightOn.OUTPUT,
          DType.F32,
          Rounding.NONE);

  /** Softmax over all, the k best as they are: Qwen2-MoE, OLMoE, DeepSeekMoE (R2). */
  public static final Gating SOFTMAX_TOP_K = MIXTRAL.with(Renormalise.NO);

  /** The k best logits, softmax over them: gpt-oss, Granite, Aria (R3). */
  public static final Gating TOP_K_SOFTMAX = SOFTMAX_TOP_K.with(Order.SELECT_THEN_SCORE);

  /** Sigmoid, a bias for the selection, renormalised: the plain form of DeepSeek-V3 (R4). */
  public static final Gating DEEPSEEK_V3 =
      MIXTRAL.with(Score.SIGMOID).withSelectionBias(true).with(Renormalise.beforeDrop(1e-20));

  /** Softmax, a bias for the selection, renormalised: ERNIE 4.5 (R5). */
  public static final Gating ERNIE =
      MIXTRAL
          .withSelectionBias(true)
          .with(new Renormalise(Renormalise.When.BEFORE_DROP, Renormalise.Guard.MAX, 1e-12));

  /** The sigmoid of the chosen logits multiplies the expert's input: Llama 4 (R8). */
  public static final Gating LLAMA4 = TOP_K_SOFTMAX.with(Score.SIGMOID).with(WeightOn.INPUT);

  /** Top-1 by full softmax, weight not renormalised: Switch (R9). */
  public static final Gating SWITCH = SOFTMAX_TOP_K;

  /** A fixed weight of the caller's choice: rules without scores. */
  public static final Gating FIXED = SOFTMAX_TOP_K.with(Score.RAW);

  /** DeepSeek-V2's group-limited form of R2: groups rated by their best, others set to 0 (R6). */
  public static Gating deepSeekV2(int groups, int kept, double scale) {
    return SOFTMAX_TOP_K
        .with(new GroupLimit(groups, kept, GroupLimit.GroupScore.MAX, GroupLimit.Mask.ZERO))
        .withScale(scale);
  }

  /** DeepSeek-V3's group-limited form of R4: groups rated by their two best biased scores (R6). */
  public static Gating deepSeekV3(int groups, int kept, double scale) {
    return DEEPSEEK_V3
        .with(
            new GroupLimit(
                groups, kept, GroupLimit.GroupScore.TOP2_SUM, GroupLimit.Mask.MINUS_INFINITY))
        .withScale(scale);
  }

  /** With another score. */
  public Gating with(Score score) {
    return edited(d -> d.score = score);
  }

  /** With another order. */
  public Gating with(Order order) {
    return edited(d -> d.order = order);
  }

  /** With another group limit. */
  public Gating with(GroupLimit groups) {
    return edited(d -> d.groups = groups);
  }

  /** With another renormalisation. */
  public Gating with(Renormalise renormalise) {
    return edited(d -> d.renormalise = renormalise);
  }

  /** With the weight on the other side. */
  public Gating with(WeightOn weightOn) {
    return edited(d -> d.weightOn = weightOn);
  }

  /** With another compute type. */
  public Gating with(DType dtype) {
    return edited(d -> d.dtype = dtype);
  }

  /** With another rounding. */
  public Gating with(Rounding rounding) {
    return edited(d -> d.rounding = rounding);
  }

  /** With a factor on the logits. */
  public Gating withLogitScale(double logitScale) {
    return edited(d -> d.logitScale = logitScale);
  }

  /** With or without a bias for the selection. */
  public Gating withSelectionBias(boolean selectionBias) {
    return edited(d -> d.selectionBias = selectionBias);
  }

  /** With a factor on the final weights. */
  public Gating withScale(double scale) {
    return edited(d -> d.scale = scale);
  }

  /** The type of the router's product with {@code x}. */
  DType productType(Tensor x) {
    return x.dtype() == DType.F64 || rounding.ofLogits() ? x.dtype() : dtype;
  }

  /** Scores as they are, or in the type of {@code x} if they are rounded to it. */
  Tensor rounded(Tensor scores, Tensor x) {
    return rounding.ofScores() ? scores.to(x.dtype()) : scores;
  }

  /** The logits as scores see them: scaled, or with a fixed deviation, in the gating's type. */
  Tensor prepared(Tensor raw) {
    Tensor logits = raw.dtype() == DType.F64 ? raw : raw.to(dtype);
    if (score != Score.Z_SCORED) {
      return logitScale == 1 ? logits : logits.mul(logitScale);
    }
    int experts = (int) logits.size(-1);
    Tensor centred = logits.sub(logits.mean(-1, true));
    Tensor variance = centred.square().sum(-1, true).div(Math.max(1, experts - 1));
    // Equal logits stay equal: the guard is above the rounding that tells them apart.
    return centred.mul(logitScale).div(variance.add(1e-12).sqrt());
  }

  /** Scores [T,k] of {@code choices} [T,k], read from {@code scores} [T,E]; -1 reads anything. */
  Tensor selected(Tensor scores, Tensor choices) {
    Tensor read = scores.gather(1, choices.maskedFill(choices.lt(0), 0));
    return order == Order.SELECT_THEN_SCORE ? score.of(read) : read;
  }

  /** Final weights [T,k] from the scores of the choices and which of them are served. */
  Tensor weights(Tensor selected, Tensor kept) {
    Tensor w = selected;
    if (renormalise.when() == Renormalise.When.BEFORE_DROP) {
      w = renormalise.divide(w);
    }
    w = w.mul(kept.to(w.dtype()));
    if (renormalise.when() == Renormalise.When.AFTER_DROP) {
      w = renormalise.divide(w);
    }
    return scale == 1 ? w : w.mul(scale);
  }

  private Gating edited(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.done();
  }

  /** The components while one of them is replaced. */
  private static final class Draft {
    private Score score;
    private double logitScale;
    private Order order;
    private boolean selectionBias;
    private GroupLimit groups;
    private Renormalise renormalise;
    private double scale;
    private WeightOn weightOn;
    private DType dtype;
    private Rounding rounding;

    private Draft(Gating from) {
      this.score = from.score;
      this.logitScale = from.logitScale;
      this.order = from.order;
      this.selectionBias = from.selectionBias;
      this.groups = from.groups;
      this.renormalise = from.renormalise;
      this.scale = from.scale;
      this.weightOn = from.weightOn;
      this.dtype = from.dtype;
      this.rounding = from.rounding;
    }

    private Gating done() {
      return new Gating(
          score,
          logitScale,
          order,
          selectionBias,
          groups,
          renormalise,
          scale,
          weightOn,
          dtype,
          rounding);
    }
  }
}
