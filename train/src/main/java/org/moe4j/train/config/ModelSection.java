package org.moe4j.train.config;

/** Section {@code [model]}. */
public record ModelSection(
    @Key(doc = "Decoder layers.", min = 1, max = 1000) int layers,
    @Key(doc = "Width of the residual stream.", min = 2, max = 65_536) int hidden,
    @Key(doc = "Attention heads; they divide hidden.", min = 1, max = 1024) int heads,
    @Key(
            doc = "Heads of keys and values (grouped-query attention); they divide heads.",
            min = 1,
            max = 1024)
        int kvHeads,
    @Key(doc = "Width of the feed-forward of layers without experts.", min = 1, max = 1_048_576)
        int ffn,
    @Key(doc = "Normalisation before attention and feed-forward.") Norm norm,
    @Key(doc = "Base of the rotary position embedding.", above = 0) double ropeTheta,
    @Key(doc = "Whether the output projection is the embedding matrix.") boolean tieEmbeddings,
    @Key(doc = "Whether queries and keys are normalised before attention.") boolean qkNorm,
    @Key(doc = "Which layers have experts.") Placement placement,
    @Key(doc = "Deviation of the normal start of embeddings and attention.", above = 0, max = 10)
        double initStd,
    @Key(doc = "Precision in which the parameters are kept.") Precision dtype) {

  /** The normalisation. */
  public enum Norm {
    RMSNORM,
    LAYERNORM
  }

  /** Which layers have experts; the others have a dense feed-forward. */
  public enum Placement {
    /** All. */
    EVERY_LAYER,
    /** The second, the fourth and so on. */
    EVERY_OTHER,
    /** All but the first. */
    FIRST_DENSE,
    /** None: a dense model. */
    NONE;

    /** Whether the layer of this index, counted from 0, has experts. */
    public boolean hasExperts(int layer) {
      return switch (this) {
        case EVERY_LAYER -> true;
        case EVERY_OTHER -> layer % 2 == 1;
        case FIRST_DENSE -> layer > 0;
        case NONE -> false;
      };
    }
  }

  /** Refuses heads that do not divide the width. */
  public ModelSection {
    Check.that(
        heads >= 1 && hidden % heads == 0,
        "model",
        "heads = " + heads + " does not divide hidden = " + hidden + "; change one of them");
    Check.that(
        kvHeads >= 1 && heads % kvHeads == 0,
        "model",
        "kv-heads = " + kvHeads + " does not divide heads = " + heads + "; change one of them");
    Check.that(
        hidden / heads % 2 == 0,
        "model",
        "hidden / heads = "
            + hidden / heads
            + " is odd, but rotary position embedding turns pairs; change hidden or heads");
    Check.that(
        layers != 1 || placement == Placement.EVERY_LAYER || placement == Placement.NONE,
        "model",
        "placement leaves the only layer without experts; use \"every-layer\", or \"none\" for a"
            + " dense model");
  }

  static ModelSection defaults() {
    return new ModelSection(
        4,
        256,
        4,
        4,
        768,
        Norm.RMSNORM,
        10_000,
        true,
        true,
        Placement.EVERY_LAYER,
        0.02,
        Precision.FP32);
  }
}
